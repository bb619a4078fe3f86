//! Revision tags: names that stand for a revision, so that namespaces are moved from one control plane to another by moving the
//! name and not their labels. As in Istio, a tag is a webhook configuration that answers to the tag's name and calls the control
//! plane of the revision. The tag `default` stands for all who name no revision at all.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::object::{Component, Object, Phase, labels};
use super::rbac::tag_access;
use super::revision::{DEFAULT_REVISION, check_revision, revised};
use super::webhooks::{Target, injection, validation};

/// Label of a tag's objects, with its name.
pub const TAG_LABEL: &str = "istio.io/tag";

/// A tag, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    name: String,
    revision: String,
    namespace: String,
}

// === impl Tag ===

impl Tag {
    /// A tag for the control plane of a revision in a namespace.
    ///
    /// # Errors
    /// When one of the names cannot be a revision's, or both are the same.
    pub fn new(name: &str, revision: &str, namespace: &str) -> Result<Self, String> {
        check_revision(name)?;
        check_revision(revision)?;
        if name == revision {
            return Err(format!(
                "the tag {name} would stand for itself: the revision has this name already"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            revision: revision.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    /// Name of the tag's objects, none of which is in a namespace.
    pub fn object_name(&self) -> String {
        let name = format!("istio-revision-tag-{}", self.name);
        match self.namespace.as_str() {
            "istio-system" => name,
            namespace => format!("{name}-{namespace}"),
        }
    }

    /// The objects that make the tag: the right of the control plane to keep the CA bundle of the webhooks, and those. With the
    /// PEM of the control plane's CA the webhooks can be called at once.
    pub fn objects(&self, ca_bundle: Option<&[u8]>) -> Vec<Object> {
        let component = Component::Istiod;
        let mut labels = labels(&component, &self.namespace, &self.revision);
        labels.insert(TAG_LABEL.to_owned(), self.name.clone());
        let metadata = ObjectMeta {
            name: Some(self.object_name()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        let target = Target {
            namespace: &self.namespace,
            revision: &self.revision,
            ca_bundle,
        };
        let account = revised("istiod", &self.revision);
        let mut objects = Vec::from(tag_access(&metadata, &self.namespace, &account));
        let injector = MutatingWebhookConfiguration {
            metadata: metadata.clone(),
            webhooks: Some(injection(&self.name, &target)),
        };
        objects.push(Object::new(&component, Phase::Webhooks, &injector));
        // Only for objects that name no revision: those that name one are their revision's.
        if self.name == DEFAULT_REVISION {
            let validator = ValidatingWebhookConfiguration {
                metadata,
                webhooks: Some(validation(&self.name, &target)),
            };
            objects.push(Object::new(&component, Phase::Webhooks, &validator));
        }
        objects
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_calls_the_control_plane_of_its_revision() {
        let tag = Tag::new("prod", "canary", "istio-system").unwrap();
        let objects = tag.objects(Some(b"pem"));
        let kinds: Vec<_> = objects.iter().map(|it| it.resource.kind).collect();
        assert_eq!(
            kinds,
            [
                "ClusterRole",
                "ClusterRoleBinding",
                "MutatingWebhookConfiguration"
            ]
        );
        for object in &objects {
            assert_eq!(object.name(), "istio-revision-tag-prod");
            let labels = &object.value["metadata"]["labels"];
            assert_eq!(labels["istio.io/tag"], "prod");
            assert_eq!(labels["istio.io/rev"], "canary");
        }
        let names = &objects[0].value["rules"][0]["resourceNames"];
        assert_eq!(names, &json!(["istio-revision-tag-prod"]));
        assert_eq!(objects[1].value["subjects"][0]["name"], "istiod-canary");
        let webhooks = objects[2].value["webhooks"].as_array().unwrap();
        assert_eq!(webhooks.len(), 2, "nobody without the label is concerned");
        for webhook in webhooks {
            let client = &webhook["clientConfig"];
            assert_eq!(client["service"]["name"], "istiod-canary");
            assert_eq!(client["caBundle"], "cGVt");
        }
        let selected = &webhooks[0]["namespaceSelector"]["matchExpressions"][0];
        assert_eq!(
            selected,
            &json!({"key": "istio.io/rev", "operator": "In", "values": ["prod"]})
        );
    }

    #[test]
    fn the_default_tag_is_for_those_who_name_no_revision() {
        let tag = Tag::new("default", "canary", "mesh").unwrap();
        let objects = tag.objects(None);
        let [.., injector, validator] = &objects[..] else {
            panic!("{objects:?}");
        };
        assert_eq!(injector.name(), "istio-revision-tag-default-mesh");
        let names = injector.value["webhooks"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|it| it["name"].as_str().unwrap()).collect();
        assert!(
            names.contains(&"namespace.sidecar-injector.istio.io"),
            "{names:?}"
        );
        assert_eq!(validator.resource.kind, "ValidatingWebhookConfiguration");
    }

    #[test]
    fn a_tag_has_a_name_of_its_own() {
        assert!(Tag::new("canary", "canary", "istio-system").is_err());
        assert!(Tag::new("1.2", "canary", "istio-system").is_err());
        assert!(Tag::new("prod", "Canary", "istio-system").is_err());
    }
}
