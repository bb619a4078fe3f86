//! How the proxies of a mesh tell each other of which workload they are, as Istio's do: by two fields of requests. Only endpoints that have
//! a proxy of the mesh are told, and what others write there goes no further.

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh_ir::Workload;
use prost::Message as _;
use prost_types::{Struct, Value, value::Kind};
use rustc_hash::FxHashMap;

use super::Peer;

/// The field with the node's id.
pub const ID: &str = "x-envoy-peer-metadata-id";
/// The field with what is known of the node, a `google.protobuf.Struct` in base64.
pub const METADATA: &str = "x-envoy-peer-metadata";

/// Longest field that is read.
const LONGEST: usize = 4 << 10;
/// Longest name in it.
const LONGEST_NAME: usize = 253;
/// Most peers that a worker remembers.
const MAX_PEERS: usize = 1024;

const CANONICAL_NAME: &str = "service.istio.io/canonical-name";
const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";

/// What a proxy tells of itself.
#[derive(Debug)]
pub struct OwnMetadata {
    /// Value of [`ID`].
    pub id: Box<[u8]>,
    /// Value of [`METADATA`].
    pub metadata: Box<[u8]>,
}

/// The peers of a worker by what they have told, none for what means nothing.
#[derive(Debug, Default)]
pub struct KnownPeers(RefCell<Peers>);

/// Peers by the bytes in which they were told.
type Peers = FxHashMap<Box<[u8]>, Option<Arc<Peer>>>;

// === impl OwnMetadata ===

impl OwnMetadata {
    /// Of a proxy with this id.
    pub fn new(id: &str, peer: &Peer) -> Self {
        let encoded = STANDARD.encode(encode(peer));
        Self {
            id: id.as_bytes().into(),
            metadata: encoded.into_bytes().into(),
        }
    }
}

fn encode(peer: &Peer) -> Vec<u8> {
    let Peer {
        workload:
            Workload {
                name,
                namespace,
                canonical_name,
                canonical_revision,
                cluster,
            },
        app,
        version,
    } = peer;
    let fields = |fields: &[(&str, &Arc<str>)]| {
        let present = fields.iter().filter(|(_, value)| !value.is_empty());
        let present = present.map(|(key, value)| ((*key).to_owned(), text(value)));
        present.collect()
    };
    let labels = Struct {
        fields: fields(&[
            ("app", app),
            ("version", version),
            (CANONICAL_NAME, canonical_name),
            (CANONICAL_REVISION, canonical_revision),
        ]),
    };
    let mut all = Struct {
        fields: fields(&[
            ("WORKLOAD_NAME", name),
            ("NAMESPACE", namespace),
            ("CLUSTER_ID", cluster),
        ]),
    };
    let labels = Value {
        kind: Some(Kind::StructValue(labels)),
    };
    all.fields.insert("LABELS".to_owned(), labels);
    all.encode_to_vec()
}

fn text(value: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(value.to_owned())),
    }
}

fn decode(field: &[u8]) -> Option<Peer> {
    let bytes = STANDARD.decode(field).ok()?;
    let all = Struct::decode(bytes.as_slice()).ok()?;
    let of = |fields: &Struct, key: &str| -> Arc<str> {
        match fields.fields.get(key).and_then(|value| value.kind.as_ref()) {
            Some(Kind::StringValue(text)) if text.len() <= LONGEST_NAME => text.as_str().into(),
            _ => "".into(),
        }
    };
    let labels = match all
        .fields
        .get("LABELS")
        .and_then(|value| value.kind.as_ref())
    {
        Some(Kind::StructValue(labels)) => labels.clone(),
        _ => Struct::default(),
    };
    let (app, version) = (of(&labels, "app"), of(&labels, "version"));
    let or = |value: Arc<str>, other: &Arc<str>| {
        if value.is_empty() {
            other.clone()
        } else {
            value
        }
    };
    let name = of(&all, "WORKLOAD_NAME");
    let canonical_name = or(of(&labels, CANONICAL_NAME), &app);
    Some(Peer {
        workload: Workload {
            canonical_name: or(canonical_name, &name),
            canonical_revision: or(of(&labels, CANONICAL_REVISION), &version),
            namespace: of(&all, "NAMESPACE"),
            cluster: of(&all, "CLUSTER_ID"),
            name,
        },
        app,
        version,
    })
}

// === impl KnownPeers ===

impl KnownPeers {
    /// Who has told this.
    pub fn get(&self, field: &[u8]) -> Option<Arc<Peer>> {
        if field.len() > LONGEST {
            return None;
        }
        let mut known = self.0.borrow_mut();
        if let Some(peer) = known.get(field) {
            return peer.clone();
        }
        if known.len() >= MAX_PEERS {
            known.clear();
        }
        let peer = decode(field).map(Arc::new);
        known.insert(field.into(), peer.clone());
        peer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer {
            workload: Workload {
                name: "reviews-v1".into(),
                namespace: "default".into(),
                canonical_name: "reviews".into(),
                canonical_revision: "v1".into(),
                cluster: "Kubernetes".into(),
            },
            app: "reviews".into(),
            version: "v1".into(),
        }
    }

    #[test]
    fn peers_are_read_as_they_are_written() {
        let own = OwnMetadata::new(
            "sidecar~10.0.0.1~a.default~default.svc.cluster.local",
            &peer(),
        );
        let known = KnownPeers::default();
        let read = known.get(&own.metadata).unwrap();
        assert_eq!(*read, peer());
        assert!(Arc::ptr_eq(&read, &known.get(&own.metadata).unwrap()));
    }

    #[test]
    fn what_means_nothing_is_nobody() {
        let known = KnownPeers::default();
        for field in [&b"*"[..], b"AAAA", &[b'A'; 5000], b"////"] {
            assert_eq!(known.get(field), None, "{field:?}");
        }
        let nameless = known.get(b"").unwrap();
        assert_eq!(&*nameless.workload.name, "");
    }
}
