//! Asks an address for keys: within limits of time and size, and never in a network that is not allowed, wherever names and redirects lead.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use serde_json::Value;

use super::Networks;

/// Limit of connecting, asking and receiving in all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer.
const LONGEST: usize = 256 << 10;
/// Most redirects.
const REDIRECTS: usize = 3;

/// Asks for keys.
pub struct Fetcher {
    client: reqwest::Client,
    networks: Arc<Networks>,
}

/// Looks names up, for addresses that may be asked.
struct AllowedNames(Arc<Networks>);

// === impl Fetcher ===

impl Fetcher {
    /// For public addresses and some networks. On a system without certificates that it trusts, no address of https can be asked; that is
    /// logged.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn new(networks: Networks) -> anyhow::Result<Self> {
        let networks = Arc::new(networks);
        let client = || {
            reqwest::Client::builder()
                .timeout(TIMEOUT)
                .connect_timeout(TIMEOUT)
                .redirect(within(&networks))
                .dns_resolver(Arc::new(AllowedNames(Arc::clone(&networks))))
                .no_proxy()
        };
        let client = client().build().or_else(|error| {
            tracing::warn!(%error, "failed to find certificates that this system trusts: keys of tokens cannot be fetched by https");
            client().tls_certs_only([]).build()
        });
        let client = client.context("failed to set up a client for keys of tokens")?;
        Ok(Self { client, networks })
    }

    /// The key set at an address.
    ///
    /// # Errors
    /// When there is none, in time and of an acceptable size, or the address must not be asked.
    pub async fn fetch(&self, address: &str) -> anyhow::Result<String> {
        let url = Url::parse(address).context("failed to read the address")?;
        check(&url, &self.networks)?;
        let mut answer = self.client.get(url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > LONGEST {
                bail!("the answer is longer than {LONGEST} bytes");
            }
            body.extend_from_slice(&chunk);
        }
        let value: Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
        if !value.get("keys").is_some_and(Value::is_array) {
            bail!("the answer is no JSON Web Key Set: it has no list of keys");
        }
        Ok(value.to_string())
    }
}

/// Follows a few redirects, to where addresses may be asked.
fn within(networks: &Arc<Networks>) -> Policy {
    let networks = Arc::clone(networks);
    Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        match check(attempt.url(), &networks) {
            Ok(()) => attempt.follow(),
            Err(error) => attempt.error(error.to_string()),
        }
    })
}

/// Whether an address may be asked, as far as it can be told without looking names up.
fn check(url: &Url, networks: &Networks) -> anyhow::Result<()> {
    if !matches!(url.scheme(), "http" | "https") {
        bail!("{:?} is neither http nor https", url.scheme());
    }
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) if !networks.allow(address) => bail!(not_allowed(bare)),
        _ => Ok(()),
    }
}

fn not_allowed(host: &str) -> String {
    format!(
        "{host} is in a private network, which may not be asked; --jwksAllowedNetworks (JWKS_ALLOWED_NETWORKS) allows some"
    )
}

impl Resolve for AllowedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| networks.allow(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(not_allowed(host).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each connection in turn; gives the address.
    async fn serve(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        format!("http://{address}/keys")
    }

    fn ok(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn fetcher(allowed: &[&str]) -> Fetcher {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let allowed = allowed.iter().map(|text| text.parse().unwrap());
        Fetcher::new(Networks::new(allowed.collect())).unwrap()
    }

    #[tokio::test]
    async fn keys_are_fetched_within_limits() {
        let fetcher = fetcher(&["127.0.0.1"]);
        let address = serve(vec![ok(r#"{"keys": []}"#)]).await;
        assert_eq!(fetcher.fetch(&address).await.unwrap(), r#"{"keys":[]}"#);
        for (answer, error) in [
            (ok("{}"), "no list of keys"),
            (ok("<html>"), "not JSON"),
            (ok(&"x".repeat(LONGEST + 1)), "longer than"),
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
                "404",
            ),
        ] {
            let address = serve(vec![answer]).await;
            let found = format!("{:#}", fetcher.fetch(&address).await.unwrap_err());
            assert!(found.contains(error), "{found}");
        }
    }

    #[tokio::test]
    async fn private_networks_are_not_asked() {
        let fetcher = fetcher(&[]);
        for address in [
            "http://127.0.0.1:1/keys",
            "http://localhost:1/keys",
            "http://[::1]:1/keys",
            "http://[::ffff:10.0.0.1]/keys",
            "http://2130706433/keys",
            "http://0x7f.1/keys",
            "http://169.254.169.254/latest",
        ] {
            let error = fetcher.fetch(address).await.unwrap_err();
            let error = format!("{error:?}");
            assert!(error.contains("private network"), "{address}: {error}");
        }
        let error = fetcher.fetch("file:///etc/passwd").await.unwrap_err();
        assert!(error.to_string().contains("neither http nor https"));
    }

    #[tokio::test]
    async fn redirects_do_not_lead_into_private_networks() {
        let fetcher = fetcher(&["127.0.0.1"]);
        let moved = |to: &str| {
            format!(
                "HTTP/1.1 302 Found\r\nlocation: {to}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
        };
        let target = serve(vec![ok(r#"{"keys": []}"#)]).await;
        let address = serve(vec![moved(&target)]).await;
        assert!(fetcher.fetch(&address).await.is_ok());
        for to in [
            "http://169.254.169.254/",
            "http://127.0.0.2:1/",
            "ftp://127.0.0.1/",
        ] {
            let address = serve(vec![moved(to)]).await;
            let error = format!("{:?}", fetcher.fetch(&address).await.unwrap_err());
            let expected = ["private network", "neither http nor https"];
            assert!(expected.iter().any(|text| error.contains(text)), "{error}");
        }
    }
}
