//! Free ports on the loopback interface.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Below the range from which the kernel gives ports to outgoing connections: a client that keeps trying to reach
/// a server which is down could otherwise be given the server's own port, and be connected to itself.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody listens on. Each is handed out once by a process.
pub(crate) fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = RANGE.end - RANGE.start;
    // Processes start at different places, so that two of them seldom try the same port at once.
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(width))?;
    (0..width)
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed))
        .map(|offset| RANGE.start + (start + offset % width) % width)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port on the loopback interface")
}
