//! Which cluster is meant, and what is said when it is not there.

use std::net::TcpListener;

use crate::place::Place;

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]
contexts: [{{name: shop, context: {{cluster: c, namespace: shop}}}}]
current-context: shop
"
    )
}

/// An address where nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("https://{}", listener.local_addr().unwrap())
}

#[test]
fn without_any_cluster_the_way_to_one_is_shown() {
    let place = Place::new();
    for command in [
        &["proxy-status"][..],
        &["analyze"],
        &["proxy-config", "routes", "web"],
    ] {
        let ran = place.run(command);
        ran.ends(1)
            .prints_nothing()
            .says("no cluster is named")
            .says("sandbox up");
    }
}

#[test]
fn an_unreachable_server_is_named_with_where_it_came_from() {
    let place = Place::new();
    let server = closed();
    place.file("kc", &kubeconfig(&server)).file("app.yaml", "");
    for command in [
        &["proxy-status"][..],
        &["analyze"],
        &["proxy-config", "clusters", "web"],
        &["kube-inject", "-f", "app.yaml"],
    ] {
        let ran = place.run(&[command, &["--kubeconfig", "kc"]].concat());
        ran.ends(1)
            .prints_nothing()
            .says(&server)
            .says("context \"shop\" of kc")
            .says("Connection refused")
            .says("hint:");
    }
    // What is known is told all the same.
    let ran = place.run(&["version", "-c", "kc"]);
    ran.ends(1)
        .prints("client version")
        .says("Connection refused");
    // Both commands that can do without a cluster say so.
    place
        .run(&["analyze", "app.yaml", "-c", "kc"])
        .ends(1)
        .says("--use-kube=false");
    place
        .run(&["kube-inject", "-f", "app.yaml", "-c", "kc"])
        .ends(1)
        .says("--use-kube=false");
}

#[test]
fn a_server_that_is_no_api_server_is_not_waited_for() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::Write;
        // Every connection gets an answer that is none.
        while let Ok((mut stream, _)) = listener.accept() {
            if stream.write_all(b"SSH-2.0-x\r\n").is_err() {
                break;
            }
        }
    });
    place.file("kc", &kubeconfig(&format!("http://{address}")));
    place
        .run(&["proxy-status", "-c", "kc"])
        .ends(1)
        .says("failed to reach the API server")
        .says(&address.to_string());
    drop(server);
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_home_directory() {
    let place = Place::new();
    let (flag, variable, home) = (closed(), closed(), closed());
    place
        .file("flag", &kubeconfig(&flag))
        .file("variable", &kubeconfig(&variable));
    let run = |arguments: &[&str], kubeconfig: Option<&str>| {
        let mut command = place.command(arguments);
        command.envs(kubeconfig.map(|file| ("KUBECONFIG", file)));
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let text = run(&["proxy-status", "-c", "flag"], Some("variable"));
    assert!(text.contains(&flag), "{text}");
    let text = run(&["proxy-status"], Some("variable"));
    assert!(text.contains(&variable), "{text}");
    assert!(run(&["proxy-status"], None).contains("no cluster is named"));
    place.file(".kube/config", &kubeconfig(&home));
    let text = run(&["proxy-status"], None);
    assert!(
        text.contains(&home) && text.contains(".kube/config"),
        "{text}"
    );
    let text = run(&["proxy-status"], Some("missing"));
    assert!(
        text.contains("KUBECONFIG names no file that exists: missing"),
        "{text}"
    );
}

#[test]
fn wrong_kubeconfigs_are_told_apart() {
    let place = Place::new();
    place
        .file("kc", &kubeconfig("https://127.0.0.1:1"))
        .file("broken", "a: [b\n");
    place
        .run(&["proxy-status", "-c", "missing"])
        .ends(1)
        .says("missing")
        .says("No such file");
    place
        .run(&["proxy-status", "-c", "broken"])
        .ends(65)
        .says("broken")
        .says("line 1");
    place
        .run(&["proxy-status", "-c", "kc", "--context", "other"])
        .ends(1)
        .says("\"other\"")
        .says("hint:");
    place
        .run(&["proxy-status", "--context", "other"])
        .ends(1)
        .says("\"other\"")
        .says("--kubeconfig");
}

#[test]
fn a_sandbox_that_does_not_run_is_not_replaced_by_another_cluster() {
    let place = Place::new();
    place.file(".kube/config", &kubeconfig(&closed()));
    for command in [
        &["proxy-status"][..],
        &["version"],
        &["kube-inject", "-f", "/dev/null"],
    ] {
        let ran = place
            .command(command)
            .env("MESHCTL_SANDBOX", "mine")
            .output()
            .unwrap();
        let text = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{text}");
        assert!(
            text.contains("mine") && text.contains("sandbox up"),
            "{text}"
        );
    }
}
