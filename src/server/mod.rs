//! Listeners, connections and workers: everything that touches the network. The only clock is here.

pub mod transport;
