//! Objects of all kinds: made, read, listed, watched, patched, applied, deleted.

use super::*;

#[tokio::test]
async fn objects_are_made_read_changed_and_deleted() {
    let world = World::start().await;
    let api: Api<ConfigMap> = world.api();
    let made = api
        .create(&PostParams::default(), &config_map("a", json!({"k": "1"})))
        .await
        .unwrap();
    assert!(made.uid().is_some() && made.creation_timestamp().is_some());
    let again = api.create(&PostParams::default(), &made).await.unwrap_err();
    assert_eq!(code(&again), 500, "a version on a new object");
    let mut fresh = made.clone();
    fresh.metadata.resource_version = None;
    let again = api
        .create(&PostParams::default(), &fresh)
        .await
        .unwrap_err();
    assert_eq!(code(&again), 409);
    let listed = api
        .list(&ListParams::default().labels("app=x"))
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1);
    let mut changed = made.clone();
    changed.data = Some([("k".to_owned(), "2".to_owned())].into());
    let replaced = api
        .replace("a", &PostParams::default(), &changed)
        .await
        .unwrap();
    assert!(version(&replaced) > version(&made));
    let stale = api
        .replace("a", &PostParams::default(), &changed)
        .await
        .unwrap_err();
    assert_eq!(code(&stale), 409);
    let same = api
        .replace("a", &PostParams::default(), &replaced)
        .await
        .unwrap();
    assert_eq!(version(&same), version(&replaced), "nothing changed");
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    api.patch("a", &dry, &Patch::Merge(json!({"data": {"k": "3"}})))
        .await
        .unwrap();
    assert_eq!(api.get("a").await.unwrap().data.unwrap()["k"], "2");
    let patch = json!([{"op": "add", "path": "/data/n", "value": "1"}]);
    let patch: json_patch::Patch = parse(patch);
    api.patch("a", &PatchParams::default(), &Patch::<()>::Json(patch))
        .await
        .unwrap();
    assert_eq!(api.get("a").await.unwrap().data.unwrap().len(), 2);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(code(&api.get("a").await.unwrap_err()), 404);
    world.server.stop().await;
}

#[tokio::test]
async fn lists_come_in_parts_and_watches_tell_what_happens() {
    let world = World::start().await;
    let api: Api<ConfigMap> = world.api();
    for name in ["a", "b", "c"] {
        api.create(&PostParams::default(), &config_map(name, json!({})))
            .await
            .unwrap();
    }
    let params = ListParams::default().labels("app=x").limit(2);
    let first = api.list(&params).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let rest = api
        .list(&params.clone().continue_token(&token))
        .await
        .unwrap();
    assert_eq!((first.items.len(), rest.items.len()), (2, 1));
    let start = rest.metadata.resource_version.clone().unwrap();
    let watch = WatchParams::default().labels("app=x");
    let mut events = api.watch(&watch, &start).await.unwrap().boxed();
    let relabel = json!({"metadata": {"labels": {"app": "y"}}});
    api.patch(
        "a",
        &PatchParams::default(),
        &Patch::Merge(json!({"data": {"k": "1"}})),
    )
    .await
    .unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Merge(&relabel))
        .await
        .unwrap();
    api.delete("b", &DeleteParams::default()).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 3 {
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(object) => told.push(format!("added {}", object.name_any())),
            WatchEvent::Modified(object) => told.push(format!("modified {}", object.name_any())),
            WatchEvent::Deleted(object) => told.push(format!("deleted {}", object.name_any())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ["modified a", "deleted a", "deleted b"]);
    world.server.stop().await;
}

#[tokio::test]
async fn a_watch_from_too_long_ago_is_told_so_by_an_event() {
    let world = World::start().await;
    let api: Api<ConfigMap> = world.api();
    let made = api
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await
        .unwrap();
    for round in 0..1100 {
        let body = json!({"data": {"round": round.to_string()}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(body))
            .await
            .unwrap();
    }
    let start = made.resource_version().unwrap();
    let mut events = api
        .watch(&WatchParams::default(), &start)
        .await
        .unwrap()
        .boxed();
    match events.try_next().await.unwrap().unwrap() {
        WatchEvent::Error(error) => assert_eq!(error.code, 410),
        other => panic!("{other:?}"),
    }
    assert!(events.try_next().await.unwrap().is_none());
    world.server.stop().await;
}

pub fn deployment(replicas: Option<i32>) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1", "ports": [{"containerPort": 80}]}]}}},
    });
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = json!(replicas);
    }
    object
}

#[tokio::test]
async fn applying_twice_changes_nothing_and_taking_from_others_needs_force() {
    let world = World::start().await;
    let api: Api<Deployment> = world.api();
    let mine = PatchParams::apply("mine");
    let first = api
        .patch("web", &mine, &Patch::Apply(deployment(Some(2))))
        .await
        .unwrap();
    assert_eq!(first.metadata.generation, Some(1));
    assert_eq!(
        first.spec.as_ref().unwrap().revision_history_limit,
        Some(10),
        "defaults"
    );
    let second = api
        .patch("web", &mine, &Patch::Apply(deployment(Some(2))))
        .await
        .unwrap();
    assert_eq!(first, second);
    let scaled = api
        .patch_scale(
            "web",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"replicas": 5}})),
        )
        .await
        .unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(5));
    let conflict = api
        .patch("web", &mine, &Patch::Apply(deployment(Some(2))))
        .await
        .unwrap_err();
    assert_eq!(code(&conflict), 409);
    assert!(
        conflict.to_string().contains(".spec.replicas"),
        "{conflict}"
    );
    let forced = api
        .patch(
            "web",
            &mine.clone().force(),
            &Patch::Apply(deployment(Some(3))),
        )
        .await
        .unwrap();
    assert_eq!(forced.spec.unwrap().replicas, Some(3));
    let dropped = api
        .patch("web", &mine, &Patch::Apply(deployment(None)))
        .await
        .unwrap();
    assert_eq!(
        dropped.spec.unwrap().replicas,
        Some(1),
        "the default is back"
    );
    let mut unknown = deployment(None);
    unknown["spec"]["foo"] = json!(1);
    let refused = api
        .patch("web", &mine, &Patch::Apply(unknown))
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains(".spec.foo: field not declared in schema"),
        "{refused}"
    );
    world.server.stop().await;
}

#[tokio::test]
async fn strategic_patches_know_lists_and_selectors_never_change() {
    let world = World::start().await;
    let api: Api<Deployment> = world.api();
    api.create(&PostParams::default(), &parse(deployment(None)))
        .await
        .unwrap();
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}});
    let patched = api
        .patch("web", &PatchParams::default(), &Patch::Strategic(image))
        .await
        .unwrap();
    let container = &patched.spec.unwrap().template.spec.unwrap().containers[0];
    assert_eq!(container.image.as_deref(), Some("web:2"));
    assert_eq!(
        container.ports.as_ref().unwrap()[0].protocol.as_deref(),
        Some("TCP")
    );
    assert_eq!(patched.metadata.generation, Some(2));
    let selector = json!({"spec": {"selector": {"matchLabels": {"app": "api"}}, "template": {"metadata": {"labels": {"app": "api"}}}}});
    let refused = api
        .patch("web", &PatchParams::default(), &Patch::Merge(selector))
        .await
        .unwrap_err();
    assert_eq!(code(&refused), 422);
    let old = world
        .raw(
            "GET",
            "/apis/extensions/v1beta1/namespaces/default/deployments/web",
            "",
            "",
        )
        .await
        .unwrap();
    assert_eq!(old["apiVersion"], "extensions/v1beta1");
    world.server.stop().await;
}

#[tokio::test]
async fn unknown_fields_are_refused_warned_about_or_ignored() {
    let world = World::start().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let body = r#"{"metadata": {"name": "a"}, "dataa": {"x": "1"}}"#;
    let strict = format!("{path}?fieldValidation=Strict");
    let refused = world
        .raw("POST", &strict, "application/json", body)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("unknown field \"dataa\""),
        "{refused}"
    );
    let made = world
        .raw("POST", path, "application/json", body)
        .await
        .unwrap();
    assert!(made["dataa"].is_null());
    let yaml = "metadata:\n  generateName: b-\ndata:\n  x: \"1\"\n";
    let made = world
        .raw("POST", path, "application/yaml", yaml)
        .await
        .unwrap();
    assert_eq!(made["metadata"]["name"].as_str().unwrap().len(), 7);
    let nameless = world
        .raw("POST", path, "application/json", "{}")
        .await
        .unwrap_err();
    assert_eq!(code(&nameless), 422);
    let nonsense = world
        .raw("POST", path, "application/json", "{")
        .await
        .unwrap_err();
    assert_eq!(code(&nonsense), 400);
    world.server.stop().await;
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.ex.io"},
        "spec": {"group": "ex.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer"}, "mode": {"type": "string", "default": "slow"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}},
                {"name": "v1beta1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    })
}

#[tokio::test]
async fn definitions_bring_kinds_with_schemas() {
    let world = World::start().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let apply = PatchParams::apply("test");
    let made = definitions
        .patch("things.ex.io", &apply, &Patch::Apply(definition()))
        .await
        .unwrap();
    let conditions = made.status.unwrap().conditions.unwrap();
    assert!(
        conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
    );
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("ex.io", "v1", "Thing"));
    let api: Api<DynamicObject> = Api::default_namespaced_with(world.client.clone(), &kind);
    let thing = |spec: Value| -> DynamicObject {
        parse(
            json!({"apiVersion": "ex.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec}),
        )
    };
    let wrong = api
        .create(&PostParams::default(), &thing(json!({"size": "big"})))
        .await
        .unwrap_err();
    assert!(wrong.to_string().contains("spec.size"), "{wrong}");
    let made = api
        .create(&PostParams::default(), &thing(json!({"size": 1, "foo": 2})))
        .await
        .unwrap();
    assert_eq!(made.data["spec"], json!({"size": 1, "mode": "slow"}));
    let status = json!({"status": {"ready": true}, "spec": {"size": 9}});
    let told = api
        .patch_status("t", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    assert_eq!(
        (&told.data["status"]["ready"], &told.data["spec"]["size"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(told.metadata.generation, Some(1));
    let old = world
        .raw(
            "GET",
            "/apis/ex.io/v1beta1/namespaces/default/things/t",
            "",
            "",
        )
        .await
        .unwrap();
    assert_eq!(old["apiVersion"], "ex.io/v1beta1");
    let discovery = kube::discovery::Discovery::new(world.client.clone())
        .run()
        .await
        .unwrap();
    assert!(discovery.has_group("ex.io"));
    definitions
        .delete("things.ex.io", &DeleteParams::default())
        .await
        .unwrap();
    until(|| async {
        definitions
            .get_opt("things.ex.io")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    assert_eq!(code(&api.get("t").await.unwrap_err()), 404);
    world.server.stop().await;
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner_and_namespaces_with_all_they_have() {
    let world = World::start().await;
    let api: Api<ConfigMap> = world.api();
    let owner = api
        .create(&PostParams::default(), &config_map("owner", json!({})))
        .await
        .unwrap();
    let mut owned = config_map("owned", json!({}));
    owned.metadata.owner_references = Some(vec![parse(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid()}))]);
    api.create(&PostParams::default(), &owned).await.unwrap();
    api.delete("owner", &DeleteParams::background())
        .await
        .unwrap();
    until(|| async { api.get_opt("owned").await.unwrap().is_none().then_some(()) }).await;

    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let inside: Api<ConfigMap> = Api::namespaced(world.client.clone(), "team");
    let missing = inside
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await
        .unwrap_err();
    assert_eq!(code(&missing), 404);
    let team: Namespace = parse(json!({"metadata": {"name": "team"}}));
    let made = namespaces
        .create(&PostParams::default(), &team)
        .await
        .unwrap();
    assert_eq!(made.labels()["kubernetes.io/metadata.name"], "team");
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), "team");
    assert!(accounts.get("default").await.is_ok());
    inside
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await
        .unwrap();
    let held: ConfigMap =
        parse(json!({"metadata": {"name": "held", "finalizers": ["ex.io/hold"]}}));
    inside.create(&PostParams::default(), &held).await.unwrap();
    namespaces
        .delete("team", &DeleteParams::default())
        .await
        .unwrap();
    let refused = inside
        .create(&PostParams::default(), &config_map("b", json!({})))
        .await
        .unwrap_err();
    assert_eq!(code(&refused), 403);
    until(|| async { inside.get_opt("a").await.unwrap().is_none().then_some(()) }).await;
    assert!(
        namespaces.get("team").await.is_ok(),
        "something is left in it"
    );
    let release = json!({"metadata": {"finalizers": null}});
    inside
        .patch("held", &PatchParams::default(), &Patch::Merge(release))
        .await
        .unwrap();
    until(|| async {
        namespaces
            .get_opt("team")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    world.server.stop().await;
}

#[tokio::test]
async fn pods_get_tokens_nodes_and_time_to_end() {
    let world = World::start().await;
    let api: Api<Pod> = world.api();
    let pod: Pod = parse(
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}),
    );
    let made = api.create(&PostParams::default(), &pod).await.unwrap();
    let spec = made.spec.clone().unwrap();
    assert_eq!(
        spec.containers[0].volume_mounts.as_ref().unwrap()[0].mount_path,
        "/var/run/secrets/kubernetes.io/serviceaccount"
    );
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    let _: Value = api
        .create_subresource("binding", "p", &PostParams::default(), &binding)
        .await
        .unwrap();
    let by_node = ListParams::default().fields("spec.nodeName=n");
    assert_eq!(api.list(&by_node).await.unwrap().items.len(), 1);
    let going = api
        .delete("p", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(going.metadata.deletion_grace_period_seconds, Some(30));
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    api.delete("p", &now).await.unwrap();
    assert!(api.get_opt("p").await.unwrap().is_none());
    world.server.stop().await;
}

#[tokio::test]
async fn services_have_addresses_and_secrets_have_data() {
    let world = World::start().await;
    let api: Api<Service> = world.api();
    let own = api.get("kubernetes").await.unwrap();
    assert_eq!(
        own.spec.unwrap().cluster_ip.as_deref(),
        Some("127.254.128.1")
    );
    let service: Service =
        parse(json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}));
    let made = api.create(&PostParams::default(), &service).await.unwrap();
    let address = made.spec.unwrap().cluster_ip.unwrap();
    assert!(address.starts_with("127.254."), "{address}");
    let applied = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "name": "http"}]}});
    let again = api
        .patch(
            "s",
            &PatchParams::apply("m").force(),
            &Patch::Apply(applied),
        )
        .await
        .unwrap();
    assert_eq!(again.spec.unwrap().cluster_ip, Some(address));
    let secret: Secret = parse(json!({"metadata": {"name": "s"}, "stringData": {"a": "1"}}));
    let made = world
        .api::<Secret>()
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    assert_eq!(made.data.unwrap()["a"].0, b"1");
    world.server.stop().await;
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    let world = World::start().await;
    let stranger = client(world.address, &world.ca, "other").await;
    let refused = Api::<Pod>::all(stranger.clone())
        .list(&ListParams::default())
        .await
        .unwrap_err();
    assert_eq!(code(&refused), 401);
    assert!(
        stranger.apiserver_version().await.is_ok(),
        "everyone may ask for the version"
    );
    world.server.stop().await;
}

#[tokio::test]
async fn what_is_being_deleted_gets_no_new_finalizers() {
    let world = World::start().await;
    let api: Api<ConfigMap> = world.api();
    let mut object = config_map("a", json!({}));
    object.metadata.finalizers = Some(vec!["ex.io/one".to_owned(), "ex.io/two".to_owned()]);
    api.create(&PostParams::default(), &object).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let set = |finalizers: &[&str]| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let params = PatchParams::default();
    let refused = api
        .patch("a", &params, &set(&["ex.io/one", "ex.io/new"]))
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(code(&refused), 422);
    assert!(
        refused
            .to_string()
            .contains("no new finalizers can be added"),
        "{refused}"
    );
    api.patch("a", &params, &set(&["ex.io/one"])).await.unwrap();
    api.patch("a", &params, &set(&[])).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
    world.server.stop().await;
}

#[tokio::test]
async fn a_watch_from_a_version_that_is_not_there_ends_at_once() {
    let world = World::start().await;
    let api: Api<ConfigMap> = world.api();
    let events = api
        .watch(&WatchParams::default(), "999999999")
        .await
        .unwrap();
    let events = tokio::time::timeout(LIMIT, events.collect::<Vec<_>>()).await;
    let events = events.unwrap();
    assert!(
        matches!(&events[..], [Ok(WatchEvent::Error(status))] if status.code == 410),
        "{events:?}"
    );
    world.server.stop().await;
}

#[tokio::test]
async fn a_client_that_offers_another_protocol_keeps_its_body() {
    let world = World::start().await;
    let request = http::Request::post("/api/v1/namespaces/default/configmaps")
        .header("content-type", "application/json")
        .header("connection", "Upgrade")
        .header("upgrade", "h2c")
        .body(config_map_text("a").into_bytes());
    let made: Value = world.client.request(request.unwrap()).await.unwrap();
    assert_eq!(made["metadata"]["name"], "a");
    world.server.stop().await;
}

fn config_map_text(name: &str) -> String {
    json!({"metadata": {"name": name}}).to_string()
}

#[tokio::test]
async fn custom_resources_are_scaled_where_their_definition_says() {
    let world = World::start().await;
    let mut scaled = definition();
    let version = &mut scaled["spec"]["versions"][0];
    version["subresources"]["scale"] =
        json!({"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"});
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    definitions
        .create(&PostParams::default(), &parse(scaled))
        .await
        .unwrap();
    let things = "/apis/ex.io/v1/namespaces/default/things";
    let thing = json!({"apiVersion": "ex.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"size": 1}});
    world
        .raw("POST", things, "application/json", &thing.to_string())
        .await
        .unwrap();
    let scale = format!("{things}/t/scale");
    let asked = json!({"spec": {"replicas": 3}}).to_string();
    let told = world
        .raw("PATCH", &scale, "application/merge-patch+json", &asked)
        .await
        .unwrap();
    assert_eq!(
        (&told["kind"], &told["spec"]["replicas"]),
        (&json!("Scale"), &json!(3))
    );
    let now = world
        .raw("GET", &format!("{things}/t"), "", "")
        .await
        .unwrap();
    assert_eq!(now["spec"]["size"], 3);
    world.server.stop().await;
}
