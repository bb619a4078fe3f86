//! The former commands, one row each.

/// A command of former versions.
pub(super) struct Former {
    /// Its names.
    pub(super) words: &'static [&'static str],
    /// What has become of it.
    pub(super) now: Now,
}

/// What has become of a command.
pub(super) enum Now {
    /// It lives on under other names.
    Runs(&'static [&'static str]),
    /// It is no more.
    Replaced {
        /// Why it is not needed.
        why: &'static str,
        /// What to do instead.
        by: &'static str,
    },
}

const fn runs(words: &'static [&'static str], command: &'static [&'static str]) -> Former {
    let now = Now::Runs(command);
    Former { words, now }
}

const fn replaced(words: &'static [&'static str], why: &'static str, by: &'static str) -> Former {
    let now = Now::Replaced { why, by };
    Former { words, now }
}

/// All of them. `experimental` is also written `exp` and `x`.
pub(super) const FORMER: &[Former] = &[
    runs(&["manifest", "apply"], &["install"]),
    runs(&["experimental", "manifest", "apply"], &["install"]),
    runs(
        &["experimental", "manifest", "generate"],
        &["manifest", "generate"],
    ),
    runs(&["experimental", "convert-networking-config"], &["convert"]),
    runs(&["experimental", "analyze"], &["analyze"]),
    runs(&["experimental", "authz"], &["authz"]),
    runs(&["experimental", "proxy-status"], &["proxy-status"]),
    runs(&["experimental", "kube-inject"], &["kube-inject"]),
    runs(&["experimental", "version"], &["version"]),
    runs(&["experimental", "uninstall"], &["uninstall"]),
    runs(&["experimental", "revision", "tag"], &["tag"]),
    runs(&["gen-deploy"], &["manifest", "generate"]),
    replaced(
        &["verify-install"],
        "`install` itself waits until everything that it has written is ready",
        "`meshctl install --dry-run -y` with the same options shows what differs from what was installed, `meshctl version` which versions run, `meshctl analyze` what is wrong",
    ),
    replaced(
        &["register"],
        "a workload outside of the cluster is an object of the mesh",
        "write a WorkloadEntry with its address and labels, and a ServiceEntry whose workloadSelector selects them",
    ),
    replaced(
        &["deregister"],
        "a workload outside of the cluster is an object of the mesh",
        "delete its WorkloadEntry: kubectl delete workloadentry NAME",
    ),
    replaced(
        &["authn", "tls-check"],
        "clients find out by themselves which servers speak mutual TLS",
        "`meshctl explain request GET http://SERVICE:PORT/ --from POD` shows whether a request uses mutual TLS, `meshctl analyze` where rules contradict each other",
    ),
    replaced(
        &["experimental", "add-to-mesh"],
        "sidecars are injected by the label of a namespace, or by kube-inject",
        "kubectl label namespace NAME istio-injection=enabled && kubectl rollout restart deployment -n NAME, or meshctl kube-inject -f FILE | kubectl apply -f -",
    ),
    replaced(
        &["experimental", "remove-from-mesh"],
        "sidecars are injected by labels",
        "set the label sidecar.istio.io/inject: \"false\" in the pod template, or kubectl label namespace NAME istio-injection- && kubectl rollout restart deployment -n NAME",
    ),
    replaced(
        &["experimental", "kube-uninject"],
        "sidecars are injected by labels, and files stay as they were written",
        "apply the file from before kube-inject, or set the label sidecar.istio.io/inject: \"false\" in the pod template",
    ),
    replaced(
        &["experimental", "post-install", "webhook"],
        "`install` writes the webhooks, and the control plane keeps their certificates",
        "meshctl install; meshctl tag list shows which namespaces use which control plane",
    ),
    replaced(
        &["experimental", "wait"],
        "proxies say which configuration they have acknowledged",
        "`meshctl proxy-status` shows it for each; `meshctl shift` waits for it by itself",
    ),
    replaced(
        &["experimental", "revision"],
        "revisions are listed with their tags",
        "meshctl tag list; meshctl version",
    ),
    replaced(
        &["experimental", "auth"],
        "it is called authz",
        "meshctl authz list POD; meshctl authz can-i GET URL --from NAMESPACE/SERVICE_ACCOUNT",
    ),
    replaced(
        &["operator"],
        "no operator runs in the cluster: an IstioOperator is a file of values",
        "meshctl install -f FILE installs and changes, meshctl manifest generate -f FILE prints, meshctl uninstall removes",
    ),
    replaced(
        &["manifest", "diff"],
        "installations are compared with the cluster",
        "meshctl install --dry-run -y -f FILE shows what would change; two files: diff <(meshctl manifest generate -f A) <(meshctl manifest generate -f B)",
    ),
    replaced(
        &["manifest", "migrate"],
        "the values of Istio's Helm charts are read as they are",
        "meshctl install -f values.yaml, or meshctl manifest generate -f values.yaml to look first",
    ),
    replaced(
        &["manifest", "versions"],
        "this program installs its own version",
        "meshctl version",
    ),
    replaced(
        &["convert-ingress"],
        "Ingresses of the class istio are obeyed as they are",
        "apply the Ingress, or write a Gateway with a VirtualService",
    ),
    replaced(
        &["mixer"],
        "Mixer was removed; proxies and policies have taken over its work",
        "meshctl convert -f FILE names the replacement of each object of config.istio.io",
    ),
    replaced(
        &["context-create"],
        "clusters come from the kubeconfig, or from the sandbox that runs",
        "name one by --kubeconfig FILE and --context NAME",
    ),
];

/// Other spellings of a name.
const SPELLINGS: &[(&str, &str)] = &[("x", "experimental"), ("exp", "experimental")];

// === impl Former ===

impl Former {
    /// The row of the command that words begin with, the one of most names.
    pub(super) fn find(words: &[&str]) -> Option<&'static Former> {
        let mut plain = words.to_vec();
        for word in &mut plain {
            let spelling = SPELLINGS.iter().find(|(short, _)| short == word);
            if let Some((_, long)) = spelling {
                *word = long;
            }
        }
        let rows = FORMER.iter().filter(|row| plain.starts_with(row.words));
        rows.max_by_key(|row| row.words.len())
    }
}
