//! Arguments of the public image.

use anyhow::{Context as _, bail};

/// What the arguments say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Port of HTTP; none is the program's own.
    pub(crate) http: Option<u16>,
    /// Port of gRPC.
    pub(crate) grpc: u16,
    /// A service account that is always allowed by gRPC.
    pub(crate) allow_account: String,
}

// === impl Flags ===

impl Flags {
    /// Reads `-http=8000`, `-grpc=9000` and `-allow_sa=a`, with one dash or two. The image's own command may precede them.
    pub(crate) fn parse(args: &[String]) -> anyhow::Result<Self> {
        let mut flags = Self {
            http: None,
            grpc: 9000,
            allow_account: "a".to_owned(),
        };
        let mut words = args.iter().skip_while(|word| !word.starts_with('-'));
        while let Some(word) = words.next() {
            let flag = word.trim_start_matches('-');
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => {
                    let value = words.next();
                    let value = value.with_context(|| format!("the flag {word} needs a value"))?;
                    (flag, value.clone())
                }
            };
            let port = || {
                let port: Result<u16, _> = value.parse();
                port.with_context(|| format!("{value:?} is not a port"))
            };
            match name {
                "http" => flags.http = Some(port()?),
                "grpc" => flags.grpc = port()?,
                "allow_sa" => flags.allow_account = value,
                _ => bail!("there is no flag -{name}; there are -http, -grpc and -allow_sa"),
            }
        }
        Ok(flags)
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
        let own = parse(&[]).unwrap();
        assert_eq!((own.http, own.grpc, &*own.allow_account), (None, 9000, "a"));
        let said = parse(&["/app", "-http=8001", "--grpc", "9001", "-allow_sa=b"]).unwrap();
        assert_eq!(
            (said.http, said.grpc, &*said.allow_account),
            (Some(8001), 9001, "b")
        );
        for wrong in [&["-http=x"][..], &["-grpc"], &["-other=1"]] {
            parse(wrong).unwrap_err();
        }
    }
}
