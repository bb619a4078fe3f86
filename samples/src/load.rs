//! `fortio load`: sends requests and counts their answers by status. The flags and the lines of counts
//! are those of the public image `fortio/fortio`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::time::Instant;

use crate::client::{Answer, Client, Target};
use crate::config::Config;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(15);

/// Most connections at once.
const MAX_CONNECTIONS: usize = 256;

/// How long requests are sent when the flags say neither their number nor a time.
const USUAL_TIME: Duration = Duration::from_secs(5);

/// Requests per second when the flags do not say.
const USUAL_RATE: f64 = 8.0;

/// What the command line says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    target: Target,
    path: String,
    headers: HeaderMap,
    /// `-c`: connections at once.
    connections: usize,
    /// `-n`: how many requests; by rate and time without it.
    requests: Option<u64>,
    /// `-qps`: requests per second over all connections; 0 means as fast as they are answered.
    rate: f64,
    /// `-t`: how long to send.
    time: Duration,
}

/// Answers by status; -1 counts requests without any.
pub(crate) type Counts = BTreeMap<i32, u64>;

// === impl Load ===

impl Load {
    /// The arguments after `load`; `curl` is one request.
    pub(crate) fn parse(args: &[String]) -> anyhow::Result<Load> {
        let mut load = Load {
            target: Target {
                host: String::new(),
                port: 80,
            },
            path: String::new(),
            headers: HeaderMap::new(),
            connections: 4,
            requests: None,
            rate: USUAL_RATE,
            time: USUAL_TIME,
        };
        let mut words = args.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                load.url(word)?;
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None if matches!(flag, "quiet" | "k" | "nocatchup" | "keepalive") => (flag, None),
                None => (flag, words.next()),
            };
            load.set(name, value)?;
        }
        if load.path.is_empty() {
            bail!("load needs the URL to ask, such as http://httpbin:8000/get");
        }
        Ok(load)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> anyhow::Result<()> {
        let needed = || value.with_context(|| format!("the flag -{name} needs a value"));
        let wrong = |expected: &str| {
            let value = value.unwrap_or_default();
            format!("-{name} is {value:?}, expected {expected}")
        };
        match name {
            "c" => {
                let count = needed()?.parse().ok();
                let count = count.filter(|count| (1..=MAX_CONNECTIONS).contains(count));
                self.connections = count.with_context(|| wrong("1 to 256 connections"))?;
            }
            "n" => self.requests = Some(needed()?.parse().ok().with_context(|| wrong("a number"))?),
            "qps" => {
                let rate = needed()?.parse().ok().filter(|rate: &f64| rate.is_finite());
                self.rate = rate.with_context(|| wrong("requests per second"))?.max(0.0);
            }
            "t" => {
                let time = crate::hello::duration(needed()?);
                self.time = time.with_context(|| wrong("a duration such as 10s"))?;
            }
            "H" => {
                let (key, text) = needed()?
                    .split_once(':')
                    .with_context(|| wrong("NAME: VALUE"))?;
                let header = HeaderName::try_from(key.trim()).ok();
                let header = header.zip(HeaderValue::try_from(text.trim()).ok());
                let (key, text) = header.with_context(|| wrong("NAME: VALUE"))?;
                self.headers.append(key, text);
            }
            "quiet" | "k" | "nocatchup" | "keepalive" | "loglevel" | "timeout" | "p" => {}
            _ => bail!("there is no flag -{name}; the flags are -c -n -qps -t -H -loglevel -quiet"),
        }
        Ok(())
    }

    fn url(&mut self, text: &str) -> anyhow::Result<()> {
        let malformed = || format!("{text:?} is no URL, expected http://HOST:PORT/PATH");
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let uri: Uri = with_scheme.parse().ok().with_context(malformed)?;
        if uri.scheme_str() != Some("http") {
            bail!("{}; only http is spoken", malformed());
        }
        let authority = uri.authority().with_context(malformed)?;
        self.target = Target::parse(authority.as_str()).with_context(malformed)?;
        self.path = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        Ok(())
    }

    /// Sends one request, and prints the answer as it came.
    ///
    /// # Errors
    /// No answer, or an error status, after it is printed.
    pub(crate) async fn curl(self, config: &Config) -> anyhow::Result<()> {
        let client = Client::new(config);
        let answer = client
            .get(&self.target, &self.path, self.headers, LIMIT)
            .await?;
        std::io::stdout().write_all(&shown(&answer))?;
        let status = answer.status;
        if status.is_client_error() || status.is_server_error() {
            bail!("the answer has the status {status}");
        }
        Ok(())
    }

    /// Sends the requests, and prints the counts.
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let started = Instant::now();
        let counts = self.send(&Client::new(config)).await;
        let report = report(&counts, started.elapsed());
        std::io::stdout().write_all(report.as_bytes())?;
        Ok(())
    }

    pub(crate) async fn send(&self, client: &Client) -> Counts {
        let (next, started) = (AtomicU64::new(0), Instant::now());
        let connections = (0..self.connections).map(|_| self.connection(client, &next, started));
        let connections = futures::stream::iter(connections).buffer_unordered(self.connections);
        let all: Vec<Counts> = connections.collect().await;
        let mut sum = Counts::new();
        for (code, count) in all.into_iter().flatten() {
            *sum.entry(code).or_default() += count;
        }
        sum
    }

    /// Sends one request after the other until all have been sent. `next` numbers those of all connections.
    async fn connection(&self, client: &Client, next: &AtomicU64, started: Instant) -> Counts {
        let mut counts = Counts::new();
        let until = started + self.time;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if self.rate > 0.0 {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a time to wait until need not be exact"
                )]
                let seconds = number as f64 / self.rate;
                let after = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                let due = started.checked_add(after).unwrap_or(until);
                tokio::time::sleep_until(if self.requests.is_none() {
                    due.min(until)
                } else {
                    due
                })
                .await;
            }
            let done = match self.requests {
                Some(requests) => number >= requests,
                None => Instant::now() >= until,
            };
            if done {
                return counts;
            }
            let answer = client
                .get(&self.target, &self.path, self.headers.clone(), LIMIT)
                .await;
            let code = answer.map_or(-1, |answer| i32::from(answer.status.as_u16()));
            *counts.entry(code).or_default() += 1;
        }
    }
}

/// An answer as the wire has it.
fn shown(answer: &Answer) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {}\n", answer.status).into_bytes();
    for (name, value) in &answer.headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    text.push(b'\n');
    text.extend_from_slice(&answer.body);
    text
}

fn report(counts: &Counts, took: Duration) -> String {
    let all: u64 = counts.values().sum();
    let mut text = format!("Ended after {:.3}s : {all} calls.\n", took.as_secs_f64());
    for (code, count) in counts {
        // In tenths of a percent, rounded.
        let share = (count * 2000 + all) / (all * 2).max(1);
        text.push_str(&format!(
            "Code {code:>3} : {count} ({}.{} %)\n",
            share / 10,
            share % 10
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> anyhow::Result<Load> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Load::parse(&words)
    }

    #[test]
    fn flags_are_those_of_the_public_program() {
        let load = parse(&[
            "-c",
            "3",
            "-qps",
            "0",
            "-n",
            "30",
            "-loglevel",
            "Warning",
            "-H=x-a: b",
            "http://httpbin:8000/get?a=1",
        ]);
        let load = load.unwrap();
        assert_eq!(
            (load.connections, load.requests, load.rate),
            (3, Some(30), 0.0)
        );
        assert_eq!(
            (load.target.host.as_str(), load.target.port),
            ("httpbin", 8000)
        );
        assert_eq!(
            (load.path.as_str(), load.headers["x-a"].as_bytes()),
            ("/get?a=1", &b"b"[..])
        );
        for wrong in [
            &["-c", "0", "http://a/"][..],
            &["-x", "1", "http://a/"],
            &["-c", "2"],
            &["https://a/"],
            &["-n", "x", "http://a/"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn counts_are_told_with_their_shares() {
        let text = report(
            &Counts::from([(200, 20), (503, 10)]),
            Duration::from_millis(1234),
        );
        let expect =
            "Ended after 1.234s : 30 calls.\nCode 200 : 20 (66.7 %)\nCode 503 : 10 (33.3 %)\n";
        assert_eq!(text, expect);
        assert_eq!(
            report(&Counts::new(), Duration::ZERO),
            "Ended after 0.000s : 0 calls.\n"
        );
    }
}
