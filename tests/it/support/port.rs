//! Ports that stay the same while nobody listens on them.

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below those that the system gives to clients and to listeners on port 0: a server that is down for a moment
/// would lose its port to one of them.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of 127.0.0.1 that is held for a server, whether it runs or not. A server that holds the UDP port of a number
/// may use the TCP port: no other test gets it meanwhile, and the system frees it with this process.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _held: UdpSocket,
}

impl Port {
    pub(crate) fn hold() -> Self {
        static TRIED: AtomicU16 = AtomicU16::new(0);
        // Processes that start one after the other begin at places apart.
        let first = process::id().wrapping_mul(31);
        for _ in 0..COUNT {
            let offset = first.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed).into()) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset).unwrap();
            let Ok(held) = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)) else { continue };
            // Programs that know nothing of this may listen.
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _held: held };
            }
        }
        panic!("no port is free");
    }
}
