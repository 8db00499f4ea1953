//! MQTT 3.1
