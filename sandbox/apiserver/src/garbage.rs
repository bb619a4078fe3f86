//! Garbage collection and the end of namespaces and definitions: what goes because something else went.
//!
//! ```text
//! an object goes -> pass over everything -> dependents without owners, contents of namespaces, finalizers that are done
//! ```
//!
//! Each pass looks at all objects and does what it finds; what that makes possible is found by the next one.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use super::state::Api;
use super::store::State;
use super::verbs::{Deletion, delete_object, finish};
use plan::Step;

/// Changes that come at once are dealt with at once.
const QUIET: Duration = Duration::from_millis(5);

/// What holds a definition until its objects are gone.
pub const CUSTOM_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// A pass happens at least that often, for whatever no change announces.
const PERIOD: Duration = Duration::from_secs(20);

/// Collects until the server ends.
pub async fn run(api: Arc<Api>) {
    let mut changes = api.store.lock().endings();
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PERIOD) => {}
            () = api.stop.cancelled() => return,
        }
        tokio::time::sleep(QUIET).await;
        changes.mark_unchanged();
        while pass(&api) > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// One pass; how much it did.
fn pass(api: &Api) -> usize {
    let mut state = api.store.lock();
    let steps = plan::plan(&state);
    let mut done = 0;
    for step in steps {
        done += usize::from(take(api, &mut state, step));
    }
    done
}

fn take(api: &Api, state: &mut State, step: Step) -> bool {
    let (table, key) = step.place();
    let (plural, group) = table.split_once('.').unwrap_or((table, ""));
    let kinds = api.kinds();
    let Some(served) = kinds.table(group, plural) else {
        // The kind is gone, and nobody can see its objects any more.
        return state.remove(table, key).is_some();
    };
    let Some(old) = state.get(table, &key.0, &key.1) else {
        return false;
    };
    match &step {
        Step::Delete { propagation, .. } => {
            let deletion = Deletion {
                propagation: *propagation,
                ..Deletion::default()
            };
            let before = old["metadata"]["resourceVersion"].clone();
            let outcome = delete_object(api, state, &served.kind, key, &old, &deletion);
            let after = state.get(table, &key.0, &key.1);
            outcome.is_ok()
                && after.is_none_or(|after| after["metadata"]["resourceVersion"] != before)
        }
        Step::Change { object, .. } => {
            finish(api, state, &served.kind, key, object.clone());
            true
        }
    }
}
