//! The backend behind every proxy: answers each request head with the same short 200, as cheaply as it can.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 64\r\n\r\n\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Starts the backend on a thread of its own.
pub fn start() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(serve(stream));
            }
            #[expect(unreachable_code, reason = "names the type of the error")]
            Ok::<(), std::io::Error>(())
        })
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        // Requests have no body here, so a blank line ends each.
        let heads = buffer[..filled]
            .windows(4)
            .filter(|window| *window == b"\r\n\r\n")
            .count();
        if heads > 0 && buffer[..filled].ends_with(b"\r\n\r\n") {
            for _ in 0..heads {
                stream.write_all(ANSWER).await?;
            }
            filled = 0;
        }
    }
}
