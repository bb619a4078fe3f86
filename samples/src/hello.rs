//! `hello` and `world` of Linkerd's first tutorials: one answers a word, the other calls it and puts
//! its own word before the answer. The flags are those of the public image `buoyantio/helloworld`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::json;

use crate::client::{Client, Target};
use crate::config::Config;
use crate::handler::{Call, Handler, Reply, json, text};
use crate::propagate::propagated;

/// How long `hello` waits for its target. The public program waits without limit.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Longest `-latency`; more is a mistake rather than a demonstration.
const MAX_LATENCY: Duration = Duration::from_secs(300);

/// What the command line says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flags {
    /// `-text`: what to answer; `Hello`.
    pub(crate) text: String,
    /// `-target`: `HOST[:PORT]` to call before answering.
    pub(crate) target: Option<String>,
    /// `-addr`: `[HOST]:PORT`, of which the port counts; where to bind is the node's decision.
    pub(crate) port: Option<u16>,
    /// `-latency`: time to wait before each answer, such as `100ms` or `1.5s`.
    latency: Duration,
    /// `-failure-rate`: share of requests answered 500, in millionths.
    failures_per_million: u64,
    /// `-json`: answer `{"api_result": ...}` instead of text.
    json: bool,
}

pub(crate) struct Hello {
    flags: Flags,
    target: Option<Target>,
    client: Client,
    /// ` (ADDRESS)` after the word, when `POD_IP` is known.
    place: String,
    served: AtomicU64,
}

// === impl Flags ===

impl Flags {
    pub(crate) fn of(text: &str, target: Option<&str>) -> Flags {
        Flags {
            text: text.to_owned(),
            target: target.map(str::to_owned),
            port: None,
            latency: Duration::ZERO,
            failures_per_million: 0,
            json: false,
        }
    }

    /// Reads `-name=value`, `--name=value` and `-name value`. The image's own command may precede
    /// the flags, also as `sh -c "helloworld ..."`, which is how some tutorials start it.
    pub(crate) fn parse(args: &[String]) -> anyhow::Result<Flags> {
        let mut flags = Flags::of("Hello", None);
        let is_command = |word: &&str| matches!(*word, "/bin/sh" | "sh" | "-c" | "helloworld");
        let words = args.iter().flat_map(|arg| match arg.trim() {
            script if script.starts_with("helloworld ") => script.split_whitespace().collect(),
            _ => vec![arg.as_str()],
        });
        let mut words = words.skip_while(is_command).peekable();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                bail!("unexpected argument {word:?}, expected a flag such as -text=Hello");
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None if flag == "json" => (flag, None),
                None => (flag, words.next()),
            };
            flags.set(name, value)?;
        }
        Ok(flags)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> anyhow::Result<()> {
        if name == "json" {
            self.json = value.is_none_or(|value| value == "true");
            return Ok(());
        }
        let value = value.with_context(|| format!("the flag -{name} needs a value"))?;
        match name {
            "text" => self.text = value.to_owned(),
            "target" => self.target = Some(value.to_owned()).filter(|target| !target.is_empty()),
            "addr" => {
                let port = value
                    .rsplit_once(':')
                    .and_then(|(_, port)| port.parse().ok());
                let port = port.with_context(|| format!("-addr is {value:?}, expected :PORT"))?;
                self.port = Some(port);
            }
            "latency" => {
                let latency = duration(value).filter(|latency| *latency <= MAX_LATENCY);
                self.latency = latency.with_context(|| {
                    format!("-latency is {value:?}, expected a duration up to 300s such as 100ms")
                })?;
            }
            "failure-rate" => {
                let rate = value.parse::<f64>().ok();
                let rate = rate.filter(|rate| (0.0..=1.0).contains(rate));
                let rate = rate.with_context(|| {
                    format!("-failure-rate is {value:?}, expected a number from 0 to 1")
                })?;
                self.failures_per_million = millionths(rate);
            }
            _ => bail!(
                "unknown flag -{name}; known are -addr, -text, -target, -latency, -failure-rate, -json"
            ),
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the rate lies between 0 and 1"
)]
fn millionths(rate: f64) -> u64 {
    (rate * 1e6).round() as u64
}

/// A duration with one unit, as Go writes it: `ms`, `s` or `m`, also with a fraction.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

// === impl Hello ===

impl Hello {
    pub(crate) fn new(config: &Config, flags: Flags) -> anyhow::Result<Hello> {
        let target = flags.target.as_deref().map(|text| {
            Target::parse(text).with_context(|| format!("-target is {text:?}, expected HOST:PORT"))
        });
        let place = config.var("POD_IP").map(|ip| format!(" ({ip})"));
        Ok(Hello {
            target: target.transpose()?,
            client: Client::new(config),
            place: place.unwrap_or_default(),
            served: AtomicU64::new(0),
            flags,
        })
    }

    /// Failures come evenly spread rather than at random, so that any window has their share.
    fn fails(&self) -> bool {
        let share = self.flags.failures_per_million;
        let turn = self.served.fetch_add(1, Ordering::Relaxed) % 1_000_000;
        (turn + 1) * share / 1_000_000 > turn * share / 1_000_000
    }

    async fn answer(&self, call: Call) -> (StatusCode, String) {
        tokio::time::sleep(self.flags.latency).await;
        if self.fails() {
            let failure = "failed as -failure-rate asks\n".to_owned();
            return (StatusCode::INTERNAL_SERVER_ERROR, failure);
        }
        let own = format!("{}{}", self.flags.text, self.place);
        let Some(target) = &self.target else {
            return (StatusCode::OK, own);
        };
        let headers = propagated(call.headers());
        match self.client.get(target, "/", headers, CALL_LIMIT).await {
            Ok(answer) if answer.status == StatusCode::OK => {
                let other = String::from_utf8_lossy(&answer.body);
                let end = if self.place.is_empty() { "" } else { "!!" };
                (StatusCode::OK, format!("{own} {}{end}", other.trim_end()))
            }
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                let told = format!("{} answered {}: {body}", target.host, answer.status);
                (answer.status, told)
            }
            Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")),
        }
    }
}

impl Handler for Hello {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move {
            if call.request.uri().path() == "/health" {
                return text(StatusCode::OK, "Hello is healthy\n");
            }
            let (status, answer) = self.answer(call).await;
            if self.flags.json {
                json(status, &json!({ "api_result": answer }))
            } else {
                text(status, answer)
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> anyhow::Result<Flags> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        Flags::parse(&args)
    }

    #[test]
    fn flags_in_each_spelling() {
        let hello = parse(&["-addr=:7777", "-text=Hello", "-target=world"]).unwrap();
        assert_eq!(hello.port, Some(7777));
        assert_eq!(hello.target.as_deref(), Some("world"));
        let world = parse(&["/bin/sh", "-c", "helloworld -addr=:7778 -text=world "]).unwrap();
        assert_eq!((world.port, world.text.as_str()), (Some(7778), "world"));
        assert_eq!(parse(&["--text", "earth", "-json"]).unwrap().text, "earth");
    }

    #[test]
    fn wrong_flags_say_which() {
        for args in [
            &["-addr=7777x"][..],
            &["-latency=fast"],
            &["-latency=-1s"],
            &["-failure-rate=2"],
            &["-failure-rate=NaN"],
            &["-protocol=grpc"],
            &["-text"],
            &["world"],
        ] {
            let error = parse(args).unwrap_err().to_string();
            let name = args[0].trim_start_matches('-').split('=').next().unwrap();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("20ms"), Some(Duration::from_millis(20)));
        for wrong in ["", "s", "1h", "-1s", "1", "infs"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn failures_have_exactly_their_share() {
        let flags = parse(&["-failure-rate=0.3"]).unwrap();
        let config = Config::from_vars(Default::default()).unwrap();
        let hello = Hello::new(&config, flags).unwrap();
        let failed = (0..1000).filter(|_| hello.fails()).count();
        assert_eq!(failed, 300);
    }
}
