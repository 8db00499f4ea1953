//! The conformance tests against another broker, to see who is wrong.
//!
//! `SECUREMQ_TEST_PEER=mosquitto cargo test --test it v5` starts Debian's Mosquitto wherever a test asks for an open
//! broker. Only for people who write tests: a test that fails on both brokers is probably wrong itself.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Whether the tests run against Mosquitto.
pub fn is_asked_for() -> bool {
    std::env::var("SECUREMQ_TEST_PEER").is_ok_and(|peer| peer == "mosquitto")
}

/// Starts it in a folder; it keeps its sessions in memory only.
pub fn start(folder: &Path) -> (Child, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = folder.join("mosquitto.conf");
    let text = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n",
        address.port()
    );
    std::fs::write(&config, text).unwrap();
    let program = Path::new("/usr/sbin/mosquitto");
    let child = Command::new(program).arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.expect("mosquitto runs: apt-get install mosquitto");
    let deadline = Instant::now() + super::PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "mosquitto does not listen");
        std::thread::yield_now();
    }
    (child, address)
}
