//! `tcp-echo`: answers each line with a word and a space before it. Arguments are those of the public
//! image `istio/tcp-echo-server`: the ports with commas between them, and the word.

use anyhow::{Context, bail};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::lines;
use crate::tcp::Conversation;

/// Most ports of one program.
const MAX_PORTS: usize = 16;

pub(crate) struct TcpEcho {
    /// The word, with its space; empty without one.
    before: Vec<u8>,
    /// Ports to listen on; none for the usual one.
    pub(crate) ports: Vec<u16>,
}

// === impl TcpEcho ===

impl TcpEcho {
    /// Reads `PORTS WORD`, either of which may be missing. The image's own command may precede them.
    pub(crate) fn parse(args: &[String]) -> anyhow::Result<TcpEcho> {
        let command = |arg: &&String| arg.ends_with("tcp-echo-server") || *arg == "tcp-echo";
        let args: Vec<&String> = args.iter().skip_while(command).collect();
        let (ports, word) = match args.as_slice() {
            [] => ("", ""),
            [ports] => (ports.as_str(), ""),
            [ports, word] => (ports.as_str(), word.as_str()),
            [_, _, other, ..] => bail!("unexpected argument {other:?}, expected PORTS WORD"),
        };
        let ports = ports.split(',').filter(|text| !text.trim().is_empty());
        let ports: Vec<u16> = ports
            .map(|text| {
                let port = text.trim().parse().ok().filter(|port| *port != 0);
                port.with_context(|| format!("{text:?} is no port, expected such as 9000,9001"))
            })
            .collect::<anyhow::Result<_>>()?;
        if ports.len() > MAX_PORTS {
            bail!("{} ports are too many, at most {MAX_PORTS}", ports.len());
        }
        let space = if word.is_empty() { "" } else { " " };
        let before = format!("{word}{space}").into_bytes();
        Ok(TcpEcho { before, ports })
    }
}

impl Conversation for TcpEcho {
    fn converse(&self, mut stream: TcpStream) -> BoxFuture<'_, std::io::Result<()>> {
        async move {
            let (reader, mut writer) = stream.split();
            let mut reader = BufReader::new(reader);
            while let Some(line) = lines::next(&mut reader).await? {
                writer
                    .write_all(&[&self.before[..], &line].concat())
                    .await?;
            }
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> anyhow::Result<TcpEcho> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        TcpEcho::parse(&words)
    }

    #[test]
    fn arguments_are_those_of_the_public_image() {
        let echo = parse(&["9000,9001,9002", "hello"]).unwrap();
        assert_eq!(echo.ports, [9000, 9001, 9002]);
        assert_eq!(echo.before, b"hello ");
        let echo = parse(&["/bin/tcp-echo-server", "9000", "one"]).unwrap();
        assert_eq!(
            (echo.ports.as_slice(), echo.before.as_slice()),
            (&[9000][..], &b"one "[..])
        );
        let plain = parse(&[]).unwrap();
        assert!(plain.ports.is_empty() && plain.before.is_empty());
        for wrong in [&["port"][..], &["0"], &["70000"], &["1", "a", "b"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
