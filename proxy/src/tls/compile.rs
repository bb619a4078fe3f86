//! From configuration to compiled settings, which are kept as long as nothing has changed that they were made from.

use std::io;
use std::sync::Arc;

use mesh_ir::{ClientTls, Secret, ServerTls};
use rustc_hash::FxHashMap;

use super::material::{InvalidTls, Materials};
use super::{ClientSide, ServerSide};

/// Compiled settings by what they were compiled from.
#[derive(Debug, Default)]
pub struct TlsConfigs {
    servers: FxHashMap<Arc<ServerTls>, Made<ServerSide>>,
    clients: FxHashMap<Arc<ClientTls>, Made<ClientSide>>,
}

/// A compiled value with the fingerprint of the secrets and files that it was made from.
#[derive(Debug)]
struct Made<T> {
    fingerprint: u64,
    value: Arc<T>,
}

/// Compiles the settings of one configuration.
pub struct TlsCompiler<'a> {
    before: &'a TlsConfigs,
    materials: Materials<'a>,
    made: TlsConfigs,
}

// === impl TlsCompiler ===

impl<'a> TlsCompiler<'a> {
    /// With the settings of the configuration before, the secrets of this one, and how a file beside the proxy is read.
    pub fn new(
        before: &'a TlsConfigs,
        secrets: &'a [Arc<Secret>],
        read: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
    ) -> Self {
        Self {
            before,
            materials: Materials::new(secrets, read),
            made: TlsConfigs::default(),
        }
    }

    /// What was compiled, for the configuration that follows.
    pub fn finish(self) -> TlsConfigs {
        self.made
    }

    /// Settings of a listener's chain.
    ///
    /// # Errors
    /// When a key or a certificate is missing or means nothing, or something is asked for that this proxy does not do.
    pub fn server(&mut self, tls: &Arc<ServerTls>) -> Result<Arc<ServerSide>, InvalidTls> {
        let fingerprint = self.materials.fingerprint(&tls.sources());
        let (before, made) = (&self.before.servers, &mut self.made.servers);
        make(before, made, tls, fingerprint, || {
            ServerSide::new(tls, &self.materials)
        })
    }

    /// Settings of a cluster.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn client(&mut self, tls: &Arc<ClientTls>) -> Result<Arc<ClientSide>, InvalidTls> {
        let fingerprint = self.materials.fingerprint(&tls.sources());
        let (before, made) = (&self.before.clients, &mut self.made.clients);
        make(before, made, tls, fingerprint, || {
            ClientSide::new(tls, &self.materials)
        })
    }
}

/// The value that was made already, now or for the configuration before, else a new one.
fn make<S: std::hash::Hash + Eq, T>(
    before: &FxHashMap<Arc<S>, Made<T>>,
    made: &mut FxHashMap<Arc<S>, Made<T>>,
    source: &Arc<S>,
    fingerprint: u64,
    new: impl FnOnce() -> Result<T, InvalidTls>,
) -> Result<Arc<T>, InvalidTls> {
    let known = made.get(source).or_else(|| before.get(source));
    let known = known.filter(|known| known.fingerprint == fingerprint);
    let value = match known {
        Some(known) => known.value.clone(),
        None => Arc::new(new()?),
    };
    let kept = Made {
        fingerprint,
        value: value.clone(),
    };
    made.insert(source.clone(), kept);
    Ok(value)
}
