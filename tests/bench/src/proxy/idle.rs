//! Memory of connections that say nothing after one request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::cases::Case;

/// Prints each proxy's memory for one idle connection.
pub fn report(cases: &[Case], connections: usize) -> anyhow::Result<()> {
    println!("\n{connections} idle keep-alive connections, each after one request:");
    for case in cases {
        let before = case.process.resident_kib()?;
        let held = open(case.address, connections)?;
        std::thread::sleep(Duration::from_secs(2));
        let grown = case.process.resident_kib()?.saturating_sub(before);
        println!(
            "  {:10} {:8.2} KiB each ({before} KiB before)",
            case.name,
            grown as f64 / held.len() as f64
        );
    }
    Ok(())
}

fn open(address: SocketAddr, connections: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut buffer = [0; 4096];
        anyhow::ensure!(stream.read(&mut buffer)? > 0, "a connection was closed");
        held.push(stream);
    }
    Ok(held)
}
