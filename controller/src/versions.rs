//! Which snapshot first held an object in which version, for those who have written it and wait until it has arrived.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mesh_core::resource::{Kind, ResourceKey};

/// Objects that are gone are remembered, so many at most.
const MOST_GONE: usize = 1024;

/// The versions of all objects that people write. Shared by the event loop, which notes, and the monitor, which asks.
#[derive(Debug, Default)]
pub struct Versions {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    objects: BTreeMap<ResourceKey, History>,
    gone: usize,
}

/// The newest versions of an object.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    /// The newest version in a snapshot, and the first snapshot that held it or one that means the same.
    published: Option<(u64, u64)>,
    /// A newer version that waits for the next snapshot.
    waiting: Option<u64>,
    gone: bool,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The object.
    pub key: ResourceKey,
    /// Its version; 0 for any.
    pub version: u64,
}

// === impl Versions ===

impl Versions {
    /// Notes a version. `changed` says whether it means something else to the mesh than the one before.
    pub fn note(&self, key: &ResourceKey, version: Option<&str>, changed: bool) {
        if !is_written(key.kind) {
            return;
        }
        let version = version.map_or(0, number);
        let mut seen = self.lock();
        let history = seen.objects.entry(key.clone()).or_default();
        let was_gone = std::mem::take(&mut history.gone);
        match (&mut history.waiting, &mut history.published) {
            (Some(waiting), _) => *waiting = version,
            (None, Some((published, _))) if !changed => *published = version,
            (waiting, _) => *waiting = Some(version),
        }
        seen.gone -= usize::from(was_gone);
    }

    /// Notes that an object is gone.
    pub fn note_gone(&self, key: &ResourceKey, version: Option<&str>) {
        if !is_written(key.kind) {
            return;
        }
        let mut seen = self.lock();
        let Some(history) = seen.objects.get_mut(key) else {
            return;
        };
        history.waiting = Some(version.map_or(u64::MAX, number));
        let newly = !std::mem::replace(&mut history.gone, true);
        seen.gone += usize::from(newly);
    }

    /// Notes that everything that waits is in a snapshot now.
    pub fn publish(&self, generation: u64) {
        let mut seen = self.lock();
        for history in seen.objects.values_mut() {
            if let Some(version) = history.waiting.take() {
                history.published = Some((version, generation));
            }
        }
        if seen.gone > MOST_GONE {
            seen.objects.retain(|_, history| !history.gone);
            seen.gone = 0;
        }
    }

    /// The first snapshot that holds the object in the version or a later one; none while there is none.
    pub fn generation(&self, question: &Question) -> Option<u64> {
        let seen = self.lock();
        let (version, generation) = seen.objects.get(&question.key)?.published?;
        (version >= question.version).then_some(generation)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Question ===

impl Question {
    /// Reads `resource=KIND/NAMESPACE/NAME&version=VERSION`.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut resource = None;
        let mut version = 0;
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "resource" => resource = Some(value.replace("%2F", "/").replace("%2f", "/")),
                "version" => version = number(value),
                _ => {
                    return Err(format!(
                        "{name:?} is not known; there are resource and version"
                    ));
                }
            }
        }
        let resource =
            resource.ok_or("say which object: ?resource=KIND/NAMESPACE/NAME&version=VERSION")?;
        let [kind, namespace, name] = resource.split('/').collect::<Vec<_>>()[..] else {
            return Err(format!(
                "{resource:?} is not of the form KIND/NAMESPACE/NAME"
            ));
        };
        let kind = Kind::named(kind)
            .ok_or_else(|| format!("the mesh does not read objects of the kind {kind:?}"))?;
        let key = ResourceKey {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        };
        Ok(Self { key, version })
    }
}

/// Resource versions are opaque by contract, but numbers that grow in every API server that there is; Kubernetes 1.35 has made
/// that the contract.
fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

/// Whether people write objects of the kind and may wait for them. The others are many and change all the time.
fn is_written(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Pod | Kind::Node | Kind::EndpointSlice | Kind::Endpoints
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(version: u64) -> Question {
        Question::parse(
            &[
                "resource=virtualservice/default/reviews&version=",
                &version.to_string(),
            ]
            .concat(),
        )
        .unwrap()
    }

    #[test]
    fn a_version_is_there_once_it_is_published() {
        let versions = Versions::default();
        let key = question(0).key;
        versions.note(&key, Some("10"), true);
        assert_eq!(versions.generation(&question(10)), None);
        versions.publish(3);
        assert_eq!(versions.generation(&question(10)), Some(3));
        versions.note(&key, Some("12"), true);
        assert_eq!(versions.generation(&question(10)), Some(3));
        assert_eq!(versions.generation(&question(12)), None);
        versions.publish(4);
        assert_eq!(versions.generation(&question(11)), Some(4));
    }

    #[test]
    fn a_version_that_means_the_same_is_there_at_once() {
        let versions = Versions::default();
        let key = question(0).key;
        versions.note(&key, Some("10"), true);
        versions.publish(3);
        versions.note(&key, Some("15"), false);
        assert_eq!(versions.generation(&question(15)), Some(3));
    }

    #[test]
    fn a_deletion_arrives_too() {
        let versions = Versions::default();
        let key = question(0).key;
        versions.note(&key, Some("10"), true);
        versions.publish(3);
        versions.note_gone(&key, Some("20"));
        versions.publish(4);
        assert_eq!(versions.generation(&question(20)), Some(4));
        versions.note(&key, Some("30"), true);
        assert_eq!(versions.generation(&question(30)), None);
    }

    #[test]
    fn questions_that_make_no_sense_are_explained() {
        for query in ["", "resource=a/b", "resource=Teapot/a/b", "x=y"] {
            assert!(Question::parse(query).is_err(), "{query}");
        }
    }
}
