"""MQTT users for Locust: each one publishes over TLS and waits for its own messages to come back.

    locust -f tests/stress/locustfile.py --host mqtts://localhost:8883 \
        --mqtt-user alice --mqtt-password-file FILE --mqtt-ca ca.crt

Locust's web page on port 8089 shows three kinds of events: CONNECT, PUBLISH (until the acknowledgement) and MESSAGE
(end to end, from publishing to the subscriber). Without a page: `--headless --users 50 --run-time 20s`.

Every option is also an environment variable: `--mqtt-user` is MQTT_USER. A password comes from the environment
(MQTT_PASSWORD) or a file, not from the command line, where others could read it.
"""

import os
import queue
import ssl
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from locust import User, constant_throughput, events, task
from locust.exception import StopUser

PATIENCE = 10


@events.init_command_line_parser.add_listener
def add_options(parser):
    group = parser.add_argument_group("MQTT")

    def add(name, **how):
        group.add_argument(f"--mqtt-{name}", env_var="MQTT_" + name.upper().replace("-", "_"), **how)

    add("user", default="", help="user name; %%n becomes the number of the Locust user")
    add("password-file", default="", help="file with the password; or the variable MQTT_PASSWORD")
    add("ca", default="", help="certificate of the authority that signed the broker's")
    add("cert", default="", help="client certificate, instead of or beside a password")
    add("key", default="", help="key of the client certificate")
    add("topic", default="school/stress", help="topic to work under; every user takes a topic below it")
    add("qos", type=int, choices=[0, 1, 2], default=1, help="QoS of publishing and subscribing")
    add("payload-size", type=int, default=64, help="bytes in each message, 16 at least")
    add("rate", type=float, default=5.0, help="messages per second and user")
    add("version", type=int, choices=[3, 5], default=5, help="3 for MQTT 3.1.1, 5 for 5.0")


def password(options):
    if options.mqtt_password_file:
        return Path(options.mqtt_password_file).read_text(encoding="utf-8").rstrip("\n")
    return os.environ.get("MQTT_PASSWORD")


class MqttUser(User):
    """A device that hears what it says."""

    count = 0

    def wait_time(self):
        return constant_throughput(self.environment.parsed_options.mqtt_rate)(self)

    def on_start(self):
        MqttUser.count += 1
        options = self.environment.parsed_options
        self.qos = options.mqtt_qos
        self.topic = f"{options.mqtt_topic}/{os.getpid()}-{MqttUser.count}"
        self.size = max(options.mqtt_payload_size, 16)
        self.sent = 0
        self.acknowledged = queue.SimpleQueue()
        self.received = queue.SimpleQueue()
        begin = time.perf_counter()
        try:
            self.client = self.connected(options)
            self.subscribe()
        except Exception as error:
            self.report("CONNECT", begin, 0, error)
            raise StopUser from error
        self.report("CONNECT", begin, 0)

    def connected(self, options):
        protocol = mqtt.MQTTv5 if options.mqtt_version == 5 else mqtt.MQTTv311
        client_id = f"locust-{os.getpid()}-{MqttUser.count}"
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
        host = urlsplit(self.host if "//" in self.host else f"mqtts://{self.host}")
        if host.scheme in ("mqtts", "ssl", "tls"):
            context = ssl.create_default_context(cafile=options.mqtt_ca or None)
            if options.mqtt_cert:
                context.load_cert_chain(options.mqtt_cert, options.mqtt_key)
            client.tls_set_context(context)
        if options.mqtt_user:
            client.username_pw_set(options.mqtt_user.replace("%n", str(MqttUser.count)), password(options))
        answer = queue.SimpleQueue()
        client.on_connect = lambda _client, _data, _flags, reason, _properties: answer.put(reason)
        client.on_publish = lambda _client, _data, message_id, *_: self.acknowledged.put(message_id)
        client.on_message = lambda _client, _data, message: self.received.put(message.payload)
        client.reconnect_on_failure = False
        client.connect(host.hostname, host.port or (8883 if host.scheme == "mqtts" else 1883))
        client.loop_start()
        reason = answer.get(timeout=PATIENCE)
        if reason.is_failure:
            raise ConnectionError(str(reason))
        return client

    def subscribe(self):
        subscribed = threading.Event()
        refusals = []

        def on_subscribe(_client, _data, _id, reasons, _properties):
            refusals.extend(reason for reason in reasons if reason.is_failure)
            subscribed.set()

        self.client.on_subscribe = on_subscribe
        self.client.subscribe(self.topic, qos=self.qos)
        if not subscribed.wait(PATIENCE):
            raise TimeoutError("no SUBACK")
        if refusals:
            raise PermissionError(f"SUBSCRIBE {self.topic}: {refusals[0]}")

    @task
    def talk(self):
        self.sent += 1
        payload = self.sent.to_bytes(16, "big").ljust(self.size, b".")
        begin = time.perf_counter()
        self.client.publish(self.topic, payload, qos=self.qos)
        if self.step("PUBLISH", begin, self.acknowledged, lambda _id: True):
            self.step("MESSAGE", begin, self.received, lambda received: received == payload)

    def step(self, name, begin, source, is_right):
        """Waits for one thing and reports it; what comes late from an earlier message is not it."""
        try:
            while not is_right(source.get(timeout=PATIENCE)):
                if name == "MESSAGE":
                    raise ValueError("another payload came back")
            self.report(name, begin, self.size)
        except Exception as error:
            missing = TimeoutError(f"{name} did not end in {PATIENCE} s") if isinstance(error, queue.Empty) else error
            self.report(name, begin, 0, missing)
            return False
        return True

    def report(self, name, begin, length, error=None):
        self.environment.events.request.fire(
            request_type="MQTT",
            name=name,
            response_time=(time.perf_counter() - begin) * 1000,
            response_length=length,
            exception=error,
            context={},
        )

    def on_stop(self):
        client = getattr(self, "client", None)
        if client is not None:
            client.disconnect()
            client.loop_stop()
