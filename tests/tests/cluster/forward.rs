//! A port of a Service on this machine, by the API server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::cluster::Cluster;

/// `kubectl port-forward`, until it is dropped.
pub struct Forward {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Forward {
    pub fn to(cluster: &Cluster, namespace: &str, target: &str, port: u16) -> Self {
        let mut child = cluster
            .command("kubectl")
            .args([
                "port-forward",
                "--namespace",
                namespace,
                target,
                &format!(":{port}"),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("kubectl says a port");
        // It goes on to talk, and ends if nobody listens.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        // Forwarding from 127.0.0.1:40123 -> 8080
        let address = line.split(' ').find(|word| word.starts_with("127.0.0.1:"));
        let address = address
            .unwrap_or_else(|| panic!("no address in {line:?}"))
            .to_owned();
        Self { child, address }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
