//! What happens without a control plane, and after it has come back.

use mesh_tests::eventually;
use serde_json::Value;

use crate::mesh::{LIMIT, Mesh};
use crate::routing::{HELLO, count_v2, only};
use crate::yaml::route;

#[test]
fn traffic_flows_without_a_control_plane_and_changes_arrive_after_it_came_back() {
    let mut mesh = Mesh::start(&HELLO, &route("helloworld", &[("v1", 100), ("v2", 0)]));
    only(&mut mesh, "v1");
    mesh.control_plane.kill();
    let state = "control_plane.connected_state";
    eventually("the proxy notices", LIMIT, || {
        (mesh.pod("client").stat(state) == 0).then_some(())
    });
    assert_eq!(count_v2(&mut mesh, 50), 0);
    assert_eq!(mesh.pod("client").admin("/ready").status, 200);
    // Changed while nobody serves it.
    mesh.configure(&route("helloworld", &[("v1", 0), ("v2", 100)]));
    assert_eq!(count_v2(&mut mesh, 50), 0);
    mesh.restart_control_plane();
    only(&mut mesh, "v2");
    assert_eq!(mesh.pod("client").stat(state), 1);
    // Clusters did not change, so none were sent again; the proxy counts as synced nevertheless.
    eventually("all proxies are synced", LIMIT, || {
        let status = mesh.sync_status()?;
        let proxies = status.as_array()?;
        let is_synced = |proxy: &Value| {
            ["cluster", "listener", "route"].iter().all(|kind| {
                let of = |state: &str| proxy[format!("{kind}_{state}")].as_str().unwrap_or("");
                !of("sent").is_empty() && of("sent") == of("acked")
            })
        };
        (proxies.len() == HELLO.len() && proxies.iter().all(is_synced)).then_some(())
    });
}
