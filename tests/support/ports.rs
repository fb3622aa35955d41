//! Ports for servers that have to be told theirs.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where the ports are taken from: no system gives these to outgoing connections by itself, so none of those
/// takes a port between its choice and the server's start.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port of the loopback address on which nobody listens, another one at each call.
///
/// Processes begin at places far from each other.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u64::from(std::process::id()).wrapping_mul(7_919);
    for _ in 0..COUNT {
        let nth = u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let place = u16::try_from((start + nth) % u64::from(COUNT)).unwrap();
        let port = FIRST + place;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free from {FIRST} to {}", FIRST + COUNT);
}
