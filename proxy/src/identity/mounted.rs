//! A certificate that somebody else keeps in files beside the proxy (`FILE_MOUNTED_CERTS`).

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mesh_ir::{List, Secret};
use tokio::sync::watch;

use super::leaf::{InvalidLeaf, Leaf};

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(5);

/// Where the files are, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// The workload's certificate, and those that lead from it to a root.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The certificates that are trusted.
    pub roots: PathBuf,
}

/// Why the files are of no use.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("failed to read {}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Invalid(#[from] InvalidLeaf),
}

// === impl Mounted ===

impl Mounted {
    /// Tells the secrets whenever the files have changed, until nobody is interested any more.
    pub async fn run(self, secrets: watch::Sender<List<Secret>>) {
        let mut told = String::new();
        loop {
            match self.read().await {
                Ok(leaf) => {
                    told.clear();
                    secrets.send_if_modified(|known| {
                        let is_new = *known != leaf.secrets;
                        *known = leaf.secrets;
                        is_new
                    });
                }
                Err(error) => {
                    let reason = error.to_string();
                    if reason != told {
                        tracing::warn!("the mounted certificate cannot be used: {reason}");
                        told = reason;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = secrets.closed() => return,
            }
        }
    }

    async fn read(&self) -> Result<Leaf, Unusable> {
        let [chain, key, roots] = [&self.chain, &self.key, &self.roots].map(|path| async move {
            let text = tokio::fs::read_to_string(path).await;
            text.map_err(|source| Unusable::File {
                path: path.clone(),
                source,
            })
        });
        let (chain, key, roots) = (chain.await?, key.await?, roots.await?);
        Ok(Leaf::new(&chain, &key, &roots, SystemTime::now())?)
    }
}
