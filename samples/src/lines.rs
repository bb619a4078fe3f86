//! Lines of bounded length from a connection.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Longest line.
pub(crate) const MAX_LINE: u64 = 64 << 10;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(600);

/// Reads the next line with its line feed; none at the end. The last line may have no line feed.
///
/// # Errors
/// A line longer than [`MAX_LINE`], ten minutes of silence, or what the connection says.
pub(crate) async fn next<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut bounded = reader.take(MAX_LINE);
    let read = bounded.read_until(b'\n', &mut line);
    let read = tokio::time::timeout(IDLE, read).await;
    let read = read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if read as u64 == MAX_LINE && line.last() != Some(&b'\n') {
        return Err(io::Error::other("the line is longer than 64 KiB"));
    }
    Ok((read > 0).then_some(line))
}
