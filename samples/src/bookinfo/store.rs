//! The data store of ratings v2: a small TCP server in the place of MongoDB or MySQL, and its client.
//!
//! It speaks lines of text: `GET ID` and `PUT ID {"Reviewer1":5}` are answered with the ratings of that
//! product as JSON, everything else, the handshake of a real database's client included, with a line
//! that says what this is.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::stars::{Shelf, Stars};
use crate::client::{Client, Target};
use crate::config::Config;
use crate::lines;
use crate::tcp::Conversation;

/// How long `ratings` waits for the store.
const LIMIT: Duration = Duration::from_secs(5);

/// What everybody is told who asks for something else.
const ABOUT: &str = "ERROR this is the data store of the sample ratings, a small server in the place \
    of MongoDB and MySQL; it knows GET ID and PUT ID JSON\n";

/// The server.
#[derive(Default)]
pub(crate) struct Store {
    shelf: Mutex<Shelf>,
}

/// The client: where `ratings` keeps its stars.
pub(crate) struct Remote {
    target: Target,
    client: Client,
}

// === impl Store ===

impl Store {
    /// The answer to one line.
    fn answer(&self, line: &[u8]) -> String {
        let mut shelf = self
            .shelf
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let words = std::str::from_utf8(line).unwrap_or_default().trim();
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let stars = match (verb, rest.split_once(' ')) {
            ("GET", None) => rest.parse().ok().map(|id| Ok(shelf.get(id))),
            ("PUT", Some((id, json))) => {
                let parsed = id.parse().ok().zip(Stars::parse(json.as_bytes()));
                parsed.map(|(id, stars)| shelf.put(id, stars))
            }
            _ => None,
        };
        match stars {
            Some(Ok(stars)) => format!("{}\n", stars.json()),
            Some(Err(full)) => format!("ERROR {full}\n"),
            None => ABOUT.to_owned(),
        }
    }
}

impl Conversation for Store {
    fn converse(&self, mut stream: TcpStream) -> BoxFuture<'_, io::Result<()>> {
        async move {
            let (reader, mut writer) = stream.split();
            let mut reader = BufReader::new(reader);
            while let Some(line) = lines::next(&mut reader).await? {
                writer.write_all(self.answer(&line).as_bytes()).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

// === impl Remote ===

impl Remote {
    /// The store that the variables of the public sample name: `DB_TYPE=mysql` with `MYSQL_DB_HOST` and
    /// `MYSQL_DB_PORT`, or `MONGO_DB_URL`. None without any: stars are kept in memory then.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Option<Remote>> {
        let address = if config.var("DB_TYPE") == Some("mysql") {
            let host = config.var("MYSQL_DB_HOST").unwrap_or("mysqldb");
            format!("{host}:{}", config.var("MYSQL_DB_PORT").unwrap_or("3306"))
        } else if let Some(url) = config.var("MONGO_DB_URL") {
            let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
            let authority = after_scheme.split('/').next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            let port = if host.contains(':') { "" } else { ":27017" };
            format!("{host}{port}")
        } else {
            return Ok(None);
        };
        let target = Target::parse(&address).with_context(|| {
            format!("MONGO_DB_URL, or MYSQL_DB_HOST and MYSQL_DB_PORT, make {address:?}, expected HOST:PORT")
        })?;
        let client = Client::new(config);
        Ok(Some(Remote { target, client }))
    }

    /// The stars of a product.
    ///
    /// # Errors
    /// A store that cannot be reached, or that answers something else.
    pub(crate) async fn get(&self, id: u64) -> anyhow::Result<Stars> {
        self.ask(format!("GET {id}\n")).await
    }

    /// Keeps the stars of a product.
    ///
    /// # Errors
    /// As those of [`Remote::get`].
    pub(crate) async fn put(&self, id: u64, stars: &Stars) -> anyhow::Result<Stars> {
        self.ask(format!("PUT {id} {}\n", stars.json())).await
    }

    async fn ask(&self, question: String) -> anyhow::Result<Stars> {
        let Target { host, port } = &self.target;
        let asked = async {
            let mut stream = self.client.dial(&self.target).await?;
            stream.write_all(question.as_bytes()).await?;
            let line = lines::next(&mut BufReader::new(stream)).await?;
            let line = line.context("it closed the connection")?;
            let said = || String::from_utf8_lossy(&line).trim().to_owned();
            Stars::parse(&line).with_context(|| format!("it answered {:?}", said()))
        };
        let answer = tokio::time::timeout(LIMIT, asked).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in 5 s")));
        answer.with_context(|| format!("failed to ask the data store at {host}:{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(vars: &[(&str, &str)]) -> anyhow::Result<Option<String>> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let config = Config::from_vars(vars.iter().map(owned).collect()).unwrap();
        let remote = Remote::of(&config)?;
        Ok(remote.map(|Remote { target, .. }| format!("{}:{}", target.host, target.port)))
    }

    #[test]
    fn the_store_is_where_the_public_variables_say() {
        let found = |vars| target(vars).unwrap();
        assert_eq!(found(&[]), None);
        let mongo = [("MONGO_DB_URL", "mongodb://mongodb:27017/test")];
        assert_eq!(found(&mongo).as_deref(), Some("mongodb:27017"));
        let user = [("MONGO_DB_URL", "mongodb://a:b@db.example/test?x=1")];
        assert_eq!(found(&user).as_deref(), Some("db.example:27017"));
        let mysql = [("DB_TYPE", "mysql"), ("MYSQL_DB_HOST", "db")];
        assert_eq!(found(&mysql).as_deref(), Some("db:3306"));
        assert!(target(&[("MONGO_DB_URL", "mongodb://")]).is_err());
    }

    #[test]
    fn lines_are_answered() {
        let store = Store::default();
        assert_eq!(
            store.answer(b"GET 0\n"),
            "{\"Reviewer1\":5,\"Reviewer2\":4}\n"
        );
        assert_eq!(
            store.answer(b"PUT 0 {\"Reviewer1\":1}\r\n"),
            "{\"Reviewer1\":1}\n"
        );
        assert_eq!(store.answer(b"GET 0\n"), "{\"Reviewer1\":1}\n");
        for other in [&b"\n"[..], b"GET x\n", b"PUT 0 {\"a\":9}\n", b"\xff\x00\n"] {
            assert!(
                store
                    .answer(other)
                    .starts_with("ERROR this is the data store"),
                "{other:?}"
            );
        }
    }
}
