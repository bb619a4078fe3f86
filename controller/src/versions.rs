//! Which snapshot first held an object in which version, for those who have written it and wait until it has arrived.
//!
//! Objects that people write are followed one by one. Of the others, which are many and change all the time, each kind has its newest
//! versions: one watcher reads a kind, in the order of versions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use mesh_core::resource::{Kind, ResourceKey};

/// Objects that are gone are remembered, so many at most.
const MOST_GONE: usize = 1024;

/// So many snapshots are remembered of each kind. Who asks for an older version is told a later snapshot, which holds it as well.
const MOST_MARKS: usize = 64;

/// The versions of all objects. Shared by the event loop, which notes, and the monitor, which asks.
#[derive(Debug, Default)]
pub struct Versions {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Of the kinds that people write.
    objects: BTreeMap<ResourceKey, History>,
    /// Those of them that wait for the next snapshot.
    waiting: BTreeSet<ResourceKey>,
    gone: usize,
    kinds: BTreeMap<Kind, Marks>,
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

/// The newest versions of a kind.
#[derive(Debug, Default)]
struct Marks {
    /// Versions and the snapshots that held everything of the kind up to them, the oldest first.
    published: VecDeque<(u64, u64)>,
    /// A newer version that waits for the next snapshot.
    waiting: Option<u64>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// About what.
    pub subject: Subject,
    /// In which version; 0 for any.
    pub version: u64,
}

/// About what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An object.
    Object(ResourceKey),
    /// Everything of a kind.
    Kind(Kind),
}

// === impl Versions ===

impl Versions {
    /// Notes a version. `changed` says whether it means something else to the mesh than the one before.
    pub fn note(&self, key: &ResourceKey, version: Option<&str>, changed: bool) {
        let version = version.map_or(0, number);
        let mut seen = self.lock();
        let seen = &mut *seen;
        seen.kinds
            .entry(key.kind)
            .or_default()
            .note(version, changed);
        if !is_written(key.kind) {
            return;
        }
        let history = seen.objects.entry(key.clone()).or_default();
        let was_gone = std::mem::take(&mut history.gone);
        match (&mut history.waiting, &mut history.published) {
            (Some(waiting), _) => *waiting = version,
            (None, Some((published, _))) if !changed => *published = version,
            (waiting, _) => {
                *waiting = Some(version);
                seen.waiting.insert(key.clone());
            }
        }
        seen.gone -= usize::from(was_gone);
    }

    /// Notes that an object is gone. `changed` says whether it was known: only then a snapshot without it follows.
    pub fn note_gone(&self, key: &ResourceKey, version: Option<&str>, changed: bool) {
        let version = version.map(number);
        let mut seen = self.lock();
        let seen = &mut *seen;
        let marks = seen.kinds.entry(key.kind).or_default();
        marks.note(version.unwrap_or(0), changed);
        let Some(history) = seen.objects.get_mut(key) else {
            return;
        };
        let version = version.unwrap_or(u64::MAX);
        match (&history.waiting, &mut history.published) {
            (None, Some((published, _))) if !changed => *published = version,
            _ => {
                history.waiting = Some(version);
                seen.waiting.insert(key.clone());
            }
        }
        let newly = !std::mem::replace(&mut history.gone, true);
        seen.gone += usize::from(newly);
    }

    /// Notes that everything that waits is in a snapshot now.
    pub fn publish(&self, generation: u64) {
        let mut seen = self.lock();
        let seen = &mut *seen;
        for marks in seen.kinds.values_mut() {
            marks.publish(generation);
        }
        for key in std::mem::take(&mut seen.waiting) {
            if let Some(history) = seen.objects.get_mut(&key)
                && let Some(version) = history.waiting.take()
            {
                history.published = Some((version, generation));
            }
        }
        if seen.gone > MOST_GONE {
            seen.objects.retain(|_, history| !history.gone);
            seen.gone = 0;
        }
    }

    /// The first snapshot that holds what is asked for in the version or a later one; none while there is none. Of kinds that people
    /// do not write, an object counts as held once everything of its kind is, up to the version.
    pub fn generation(&self, question: &Question) -> Option<u64> {
        let Question { subject, version } = question;
        let seen = self.lock();
        match subject {
            Subject::Object(key) if is_written(key.kind) => {
                let (held, generation) = seen.objects.get(key)?.published?;
                (held >= *version).then_some(generation)
            }
            Subject::Object(ResourceKey { kind, .. }) | Subject::Kind(kind) => {
                seen.kinds.get(kind)?.generation(*version)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Marks ===

impl Marks {
    fn note(&mut self, version: u64, changed: bool) {
        match (&mut self.waiting, self.published.back_mut()) {
            (Some(waiting), _) => *waiting = version.max(*waiting),
            (None, Some((published, _))) if !changed => *published = version.max(*published),
            (waiting, published) => {
                let published = published.map_or(0, |(version, _)| *version);
                *waiting = Some(version.max(published));
            }
        }
    }

    fn publish(&mut self, generation: u64) {
        let Some(version) = self.waiting.take() else {
            return;
        };
        self.published.push_back((version, generation));
        if self.published.len() > MOST_MARKS {
            self.published.pop_front();
        }
    }

    fn generation(&self, version: u64) -> Option<u64> {
        let mark = match version {
            0 => self.published.back(),
            _ => self.published.iter().find(|(held, _)| *held >= version),
        };
        mark.map(|(_, generation)| *generation)
    }
}

// === impl Question ===

impl Question {
    /// Reads `resource=KIND/NAMESPACE/NAME&version=VERSION`, or `resource=KIND&version=VERSION` for everything of a kind.
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
        let resource = resource
            .ok_or("say which object: ?resource=KIND/NAMESPACE/NAME&version=VERSION, or which kind: ?resource=KIND&version=VERSION")?;
        let (kind, object) = match resource.split('/').collect::<Vec<_>>()[..] {
            [kind] => (kind, None),
            [kind, namespace, name] => (kind, Some((namespace, name))),
            _ => {
                return Err(format!(
                    "{resource:?} is not of the form KIND/NAMESPACE/NAME or KIND"
                ));
            }
        };
        let kind = Kind::named(kind)
            .ok_or_else(|| format!("the mesh does not read objects of the kind {kind:?}"))?;
        let subject = match object {
            None => Subject::Kind(kind),
            Some((namespace, name)) => Subject::Object(ResourceKey {
                kind,
                namespace: namespace.into(),
                name: name.into(),
            }),
        };
        Ok(Self { subject, version })
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
        about("virtualservice/default/reviews", version)
    }

    fn about(resource: &str, version: u64) -> Question {
        let version = version.to_string();
        Question::parse(&["resource=", resource, "&version=", &version].concat()).unwrap()
    }

    fn key(kind: Kind, name: &str) -> ResourceKey {
        ResourceKey {
            kind,
            namespace: "default".into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_version_is_there_once_it_is_published() {
        let versions = Versions::default();
        let key = key(Kind::VirtualService, "reviews");
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
        let key = key(Kind::VirtualService, "reviews");
        versions.note(&key, Some("10"), true);
        versions.publish(3);
        versions.note(&key, Some("15"), false);
        assert_eq!(versions.generation(&question(15)), Some(3));
    }

    #[test]
    fn a_deletion_arrives_too() {
        let versions = Versions::default();
        let key = key(Kind::VirtualService, "reviews");
        versions.note(&key, Some("10"), true);
        versions.publish(3);
        versions.note_gone(&key, Some("20"), true);
        versions.publish(4);
        assert_eq!(versions.generation(&question(20)), Some(4));
        // What is gone already changes nothing, so no snapshot follows that could be waited for.
        versions.note_gone(&key, Some("25"), false);
        assert_eq!(versions.generation(&question(25)), Some(4));
        versions.note(&key, Some("30"), true);
        assert_eq!(versions.generation(&question(30)), None);
    }

    #[test]
    fn of_endpoints_everything_up_to_a_version_is_there_or_nothing() {
        let versions = Versions::default();
        let slice = |name| key(Kind::EndpointSlice, name);
        let asked = |version| versions.generation(&about("EndpointSlice", version));
        assert_eq!(asked(0), None);
        versions.note(&slice("a"), Some("10"), true);
        versions.note(&slice("b"), Some("7"), true);
        assert_eq!(asked(7), None);
        versions.publish(3);
        assert_eq!((asked(7), asked(10), asked(11)), (Some(3), Some(3), None));
        // One that means the same is there at once, unless a change waits that came before it.
        versions.note(&slice("a"), Some("12"), false);
        assert_eq!(asked(12), Some(3));
        versions.note_gone(&slice("b"), Some("14"), true);
        versions.note(&slice("a"), Some("15"), false);
        assert_eq!((asked(12), asked(14), asked(15)), (Some(3), None, None));
        versions.publish(4);
        assert_eq!((asked(12), asked(15)), (Some(3), Some(4)));
        let one = about("EndpointSlice/default/a", 15);
        assert_eq!((versions.generation(&one), asked(0)), (Some(4), Some(4)));
    }

    #[test]
    fn a_version_from_before_all_that_is_remembered_is_held_as_well() {
        let versions = Versions::default();
        for version in 1..=200 {
            let name = version.to_string();
            versions.note(&key(Kind::Pod, &name), Some(&name), true);
            versions.publish(version);
        }
        let first = versions.generation(&about("Pod", 1)).unwrap();
        assert_eq!(first, 200 - MOST_MARKS as u64 + 1);
        assert_eq!(versions.generation(&about("Pod", 200)), Some(200));
    }

    #[test]
    fn questions_that_make_no_sense_are_explained() {
        for query in [
            "",
            "resource=a/b",
            "resource=Teapot/a/b",
            "resource=Teapot",
            "x=y",
        ] {
            assert!(Question::parse(query).is_err(), "{query}");
        }
    }
}
