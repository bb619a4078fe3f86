//! The difference between objects now and afterwards, as unified text.

use anstyle::{AnsiColor, Style};
use mesh_core::shift::{Action, Change, differing, shown};
use similar::{ChangeTag, TextDiff};

const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();
const TITLE: Style = Style::new().bold();

/// What the change does to its object; empty if a reader sees no difference.
pub fn render(change: &Change) -> String {
    let before = change.before.as_deref().map(shown).unwrap_or_default();
    let after = change.after.as_ref().map(shown).unwrap_or_default();
    if let (Some(old), Some(new)) = (&change.before, &change.after)
        && !differing(old, new)
    {
        return String::new();
    }
    let verb = match change.action {
        Action::Create => "new",
        Action::Replace => "changed",
        Action::Delete => "deleted",
    };
    let mut text = format!("{TITLE}{} ({verb}){TITLE:#}\n", change.key);
    for hunk in TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(3)
        .iter_hunks()
    {
        text.push_str(&format!("{PLACE}{}{PLACE:#}\n", hunk.header()));
        for line in hunk.iter_changes() {
            let value = line.value().trim_end_matches('\n');
            text.push_str(&match line.tag() {
                ChangeTag::Delete => format!("{REMOVED}-{value}{REMOVED:#}\n"),
                ChangeTag::Insert => format!("{ADDED}+{value}{ADDED:#}\n"),
                ChangeTag::Equal => format!(" {value}\n"),
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_core::resource::{Kind, ResourceKey};
    use serde_json::json;

    use super::*;

    fn plain(change: &Change) -> String {
        anstream::adapter::strip_str(&render(change)).to_string()
    }

    #[test]
    fn only_what_differs_is_shown() {
        let key = ResourceKey {
            kind: Kind::VirtualService,
            namespace: "default".into(),
            name: "reviews".into(),
        };
        let object = |weight: u32, version: &str| json!({"metadata": {"name": "reviews", "resourceVersion": version}, "spec": {"weight": weight}});
        let mut change = Change {
            key,
            action: Action::Replace,
            before: Some(Arc::new(object(1, "7"))),
            after: Some(object(2, "8")),
        };
        assert_eq!(
            plain(&change),
            "VirtualService default/reviews (changed)\n@@ -1,4 +1,4 @@\n metadata:\n   name: reviews\n spec:\n-  weight: 1\n+  weight: 2\n"
        );
        change.after = Some(object(1, "9"));
        assert_eq!(plain(&change), "");
    }
}
