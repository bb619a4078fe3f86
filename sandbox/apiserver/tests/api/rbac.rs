//! Roles and bindings, as service accounts meet them.

use super::*;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

impl World {
    /// A client with the token of a service account of `default`, which is made if it is not there.
    async fn account(&self, name: &str) -> Client {
        let api: Api<ServiceAccount> = self.api();
        if api.get_opt(name).await.unwrap().is_none() {
            let account = parse(json!({"metadata": {"name": name}}));
            api.create(&PostParams::default(), &account).await.unwrap();
        }
        let path = format!("/api/v1/namespaces/default/serviceaccounts/{name}/token");
        let granted = self.raw("POST", &path, "", "{}").await.unwrap();
        let token = granted["status"]["token"].as_str().unwrap();
        client(self.address, &self.ca, token).await
    }

    async fn create(&self, path: &str, object: Value) {
        let body = object.to_string();
        self.raw("POST", path, "application/json", &body)
            .await
            .unwrap();
    }

    /// A role of `default` and its binding to an account.
    async fn allow(&self, account: &str, rules: Value) {
        let roles = format!("{RBAC}/namespaces/default/roles");
        self.create(
            &roles,
            json!({"metadata": {"name": account}, "rules": rules}),
        )
        .await;
        let bindings = format!("{RBAC}/namespaces/default/rolebindings");
        let binding = json!({"metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "default"}]});
        self.create(&bindings, binding).await;
    }
}

async fn ask(client: &Client, method: &str, path: &str, body: Value) -> Result<Value, kube::Error> {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let body = match &body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    client.request(request.body(body).unwrap()).await
}

async fn refusal(client: &Client, method: &str, path: &str, body: Value) -> String {
    match ask(client, method, path, body).await {
        Err(kube::Error::Api(status)) if status.code == 403 => status.message,
        other => panic!("{method} {path}: {other:?}"),
    }
}

#[tokio::test]
async fn an_account_may_do_what_its_bindings_say_and_nothing_else() {
    let world = World::start().await;
    let account = world.account("a").await;
    let pods = "/api/v1/namespaces/default/configmaps";
    let message = refusal(&account, "GET", pods, Value::Null).await;
    assert_eq!(
        message,
        "configmaps is forbidden: User \"system:serviceaccount:default:a\" cannot list resource \"configmaps\" \
         in API group \"\" in the namespace \"default\""
    );
    let token = "/api/v1/namespaces/kube-system/serviceaccounts/default/token";
    let message = refusal(&account, "POST", token, json!({})).await;
    assert!(
        message.contains("cannot create resource \"serviceaccounts/token\""),
        "{message}"
    );
    ask(&account, "GET", "/apis", Value::Null).await.unwrap();
    let message = refusal(&account, "GET", "/metrics", Value::Null).await;
    assert!(
        message.ends_with("cannot get path \"/metrics\""),
        "{message}"
    );
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "watch", "list"],
        "resourceNames": ["kube-root-ca.crt"]}]);
    world.allow("a", rules).await;
    ask(
        &account,
        "GET",
        &format!("{pods}/kube-root-ca.crt"),
        Value::Null,
    )
    .await
    .unwrap();
    let named = format!("{pods}?fieldSelector=metadata.name%3Dkube-root-ca.crt");
    ask(&account, "GET", &named, Value::Null).await.unwrap();
    refusal(&account, "GET", pods, Value::Null).await;
    refusal(&account, "GET", &format!("{pods}/other"), Value::Null).await;
    refusal(
        &account,
        "DELETE",
        &format!("{pods}/kube-root-ca.crt"),
        Value::Null,
    )
    .await;
    let elsewhere = "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt";
    refusal(&account, "GET", elsewhere, Value::Null).await;
    world.server.stop().await;
}

#[tokio::test]
async fn access_reviews_answer_as_requests_are_answered() {
    let world = World::start().await;
    let account = world.account("a").await;
    let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]);
    world.allow("a", rules.clone()).await;
    let reviews = "/apis/authorization.k8s.io/v1";
    let asked = |verb: &str, namespace: &str| json!({"verb": verb, "group": "apps", "resource": "deployments", "namespace": namespace});
    for (verb, namespace, expected) in [
        ("get", "default", true),
        ("list", "default", false),
        ("get", "kube-system", false),
    ] {
        let spec = json!({"spec": {"resourceAttributes": asked(verb, namespace)}});
        let path = format!("{reviews}/selfsubjectaccessreviews");
        let own = ask(&account, "POST", &path, spec.clone()).await.unwrap();
        assert_eq!(
            own["status"]["allowed"], expected,
            "{verb} {namespace}: {own}"
        );
        let mut other = spec;
        other["spec"]["user"] = json!("system:serviceaccount:default:a");
        let path = format!("{reviews}/subjectaccessreviews");
        let of_admin = ask(&world.client, "POST", &path, other.clone())
            .await
            .unwrap();
        assert_eq!(of_admin["status"], own["status"]);
        refusal(&account, "POST", &path, other).await;
    }
    let admin = json!({"spec": {"resourceAttributes": asked("delete", "default")}});
    let path = format!("{reviews}/selfsubjectaccessreviews");
    let admin = ask(&world.client, "POST", &path, admin).await.unwrap();
    assert_eq!(admin["status"]["allowed"], true);
    let path = format!("{reviews}/selfsubjectrulesreviews");
    let mine = ask(
        &account,
        "POST",
        &path,
        json!({"spec": {"namespace": "default"}}),
    )
    .await;
    let mine = mine.unwrap();
    let found = mine["status"]["resourceRules"].as_array().unwrap();
    assert!(found.contains(&rules[0]), "{mine}");
    assert!(
        found.iter().all(|rule| rule["resources"] != json!(["*"])),
        "{mine}"
    );
    world.server.stop().await;
}

#[tokio::test]
async fn nobody_grants_what_he_does_not_have() {
    let world = World::start().await;
    let account = world.account("a").await;
    let rules = json!([
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "update"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ]);
    world.allow("a", rules).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let role = |resource: &str| {
        let rules = json!([{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]);
        json!({"metadata": {"name": resource}, "rules": rules})
    };
    ask(&account, "POST", &roles, role("pods")).await.unwrap();
    let message = refusal(&account, "POST", &roles, role("secrets")).await;
    assert!(
        message.contains("attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"),
        "{message}"
    );
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    let binding = json!({"metadata": {"name": "x"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "default"}]});
    refusal(&account, "POST", &bindings, binding).await;
    world.server.stop().await;
}

#[tokio::test]
async fn the_owner_acts_as_others_and_others_do_not() {
    let world = World::start().await;
    let account = world.account("a").await;
    let as_user = |client: Client, user: &'static str| async move {
        let request = http::Request::get("/api/v1/namespaces/default/secrets");
        let request = request.header("Impersonate-User", user);
        client
            .request::<Value>(request.body(Vec::new()).unwrap())
            .await
    };
    let refused = as_user(world.client.clone(), "jane").await.unwrap_err();
    assert_eq!(code(&refused), 403);
    assert!(
        refused.to_string().contains("User \"jane\" cannot list"),
        "{refused}"
    );
    let refused = as_user(account, "jane").await.unwrap_err().to_string();
    assert!(
        refused.contains("cannot impersonate resource \"users\""),
        "{refused}"
    );
    let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header("content-type", "application/json")
        .header("Impersonate-User", "system:serviceaccount:default:a")
        .body(b"{}".to_vec());
    let told: Value = world.client.request(request.unwrap()).await.unwrap();
    assert_eq!(
        told["status"]["userInfo"]["groups"],
        json!([
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated"
        ])
    );
    world.server.stop().await;
}

#[tokio::test]
async fn aggregated_roles_are_made_of_others() {
    let world = World::start().await;
    let viewers = |role: &Value| {
        let rules = role["rules"].as_array().unwrap();
        rules
            .iter()
            .any(|rule| rule["resources"] == json!(["things"]))
    };
    let get = |name: &'static str| world.raw("GET", name, "", "");
    let admin = "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin";
    let before = get(admin).await.unwrap();
    assert!(before["rules"].as_array().unwrap().len() > 10 && !viewers(&before));
    let part = json!({"metadata": {"name": "view-things", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["ex.io"], "resources": ["things"], "verbs": ["get"]}]});
    world.create(&format!("{RBAC}/clusterroles"), part).await;
    assert!(viewers(&get(admin).await.unwrap()));
    let part = "/apis/rbac.authorization.k8s.io/v1/clusterroles/view-things";
    world.raw("DELETE", part, "", "").await.unwrap();
    assert!(!viewers(&get(admin).await.unwrap()));
    world.server.stop().await;
}
