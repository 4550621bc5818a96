//! The harness itself: what the other tests take for granted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt};

use crate::harness::child::{Folder, Guarded};
use crate::harness::{ControlPlane, eventually};

const DEADLINE: Duration = Duration::from_secs(60);

/// The process is there; its parent may be slow to collect it after its end.
fn runs(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

async fn is_gone(pid: u32) -> Result<()> {
    eventually(DEADLINE, "the process has ended", async || (!runs(pid)).then_some(())).await
}

#[tokio::test]
async fn the_shared_control_plane_serves_the_pinned_minor_release() {
    let plane = ControlPlane::shared().await.unwrap();
    let version = plane.access().admin().await.unwrap().apiserver_version().await.unwrap();
    let module = include_str!("../controlplane/go.mod");
    let pinned = module.lines().find_map(|line| line.strip_prefix("\tk8s.io/kubernetes v")).unwrap();
    assert!(
        pinned.starts_with(&format!("{}.{}.", version.major, version.minor)),
        "{version:?}, pinned {pinned}"
    );
}

#[tokio::test]
async fn a_service_account_may_do_what_it_was_granted_and_nothing_else() {
    let plane = ControlPlane::shared().await.unwrap();
    let manifests = "
apiVersion: v1
kind: Namespace
metadata: {name: reader}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: reader}
rules:
- {apiGroups: [''], resources: [configmaps], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: reader, namespace: reader}
";
    plane.kubectl().apply(manifests).await.unwrap();
    let client = plane.access().service_account("reader", "reader").await.unwrap();
    let granted = Api::<ConfigMap>::namespaced(client.clone(), "reader");
    let list = async || granted.list(&ListParams::default()).await;
    eventually(DEADLINE, "the authorizer knows the new Role", list).await.unwrap();
    for namespace in ["reader", "default"] {
        let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
        let error = secrets.list(&ListParams::default()).await.unwrap_err();
        assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{error}");
    }
}

#[tokio::test]
async fn the_controllers_of_namespaces_and_deployments_work() {
    let plane = ControlPlane::shared().await.unwrap();
    let kubectl = plane.kubectl();
    kubectl.run(&["create", "namespace", "controllers"]).await.unwrap();
    let create = ["create", "deployment", "web", "--image=nginx", "--replicas=2", "-n", "controllers"];
    kubectl.run(&create).await.unwrap();
    let pods = async || {
        let names = kubectl.run(&["get", "pods", "-n", "controllers", "-o", "name"]).await?;
        anyhow::ensure!(names.lines().count() == 2, "{names:?}");
        anyhow::Ok(())
    };
    eventually(DEADLINE, "the Deployment has its Pods", pods).await.unwrap();
    kubectl.run(&["delete", "namespace", "controllers", "--timeout=60s"]).await.unwrap();
}

#[tokio::test]
async fn what_kubectl_refuses_comes_back_in_its_words() {
    let plane = ControlPlane::shared().await.unwrap();
    let error =
        plane.kubectl().apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: A B}}").await.unwrap_err();
    assert!(error.to_string().contains("metadata.name"), "{error}");
}

#[tokio::test]
async fn the_audit_log_names_requests_by_user_and_tells_open_watches_from_ended_ones() {
    let plane = ControlPlane::shared().await.unwrap();
    plane.kubectl().run(&["create", "serviceaccount", "audited"]).await.unwrap();
    let client = plane.access().service_account("default", "audited").await.unwrap();
    let watched = Api::<ConfigMap>::namespaced(client, "default");
    // Refused, and told nevertheless.
    watched.list(&ListParams::default()).await.unwrap_err();
    let requests = || plane.requests(|user| user == "system:serviceaccount:default:audited").unwrap();
    let [request] = &requests()[..] else { panic!("{:?}", requests()) };
    assert_eq!((request.verb.as_str(), request.resource.as_str(), request.code), ("list", "configmaps", 403));
    assert_eq!((request.group.as_str(), request.namespace.as_str(), request.open), ("", "default", false));

    let watching = ["get", "configmaps", "--watch-only", "-n", "kube-public", "--request-timeout=600s"];
    let kubectl = plane.kubectl();
    let watches = |open| {
        let of_admin = plane.requests(|user| user == "admin").unwrap();
        let ours =
            |r: &&crate::harness::Request| r.is_watch() && r.namespace == "kube-public" && r.open == open;
        of_admin.iter().filter(ours).count()
    };
    let open = async || (watches(true) == 1).then_some(());
    tokio::select! {
        ended = kubectl.run(&watching) => panic!("the watch ended: {ended:?}"),
        opened = eventually(DEADLINE, "one watch is open", open) => opened.unwrap(),
    }
    // The branch not taken is dropped, and kubectl with it.
    let closed = async || (watches(false) == 1 && watches(true) == 0).then_some(());
    eventually(DEADLINE, "the watch has ended", closed).await.unwrap();
}

#[tokio::test]
async fn a_killed_api_server_comes_back_on_its_port_with_its_data_and_nothing_is_left_when_dropped() {
    let mut plane = ControlPlane::start().await.unwrap();
    let client = plane.access().admin().await.unwrap();
    let namespaces = Api::<Namespace>::all(client.clone());
    let metadata = ObjectMeta { name: Some("kept".to_owned()), ..ObjectMeta::default() };
    let created = namespaces
        .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
        .await
        .unwrap();

    let before = plane.pids().await.unwrap();
    plane.kill_apiserver().await.unwrap();
    assert!(!runs(before[1]));
    namespaces.list(&ListParams::default()).await.unwrap_err();
    plane.restart_apiserver().await.unwrap();
    let after = plane.pids().await.unwrap();
    assert_eq!((before[0], before[2]), (after[0], after[2]), "only the API server was started again");
    let client = plane.access().admin().await.unwrap();
    assert_eq!(Api::<Namespace>::all(client).get("kept").await.unwrap().uid(), created.uid());
    assert!(plane.requests(|user| user == "admin").unwrap().iter().any(|request| request.verb == "create"));

    let folder = plane.folder().to_owned();
    assert!(after.into_iter().all(runs) && folder.exists());
    drop(plane);
    assert!(!after.into_iter().any(runs) && !folder.exists());
}

#[tokio::test]
async fn a_child_reports_its_exit_code_and_the_signal_that_ended_it() {
    let folder = Folder::new("watchpolicy-test").unwrap();
    let mut ended =
        Guarded::start("ended", folder.path(), Command::new("sh").args(["-c", "exit 7"])).unwrap();
    assert_eq!(ended.wait(DEADLINE).await.unwrap(), 7);
    let mut stopped = Guarded::start("stopped", folder.path(), Command::new("sleep").arg("600")).unwrap();
    stopped.pid().await.unwrap();
    stopped.signal("TERM").unwrap();
    assert_eq!(stopped.wait(DEADLINE).await.unwrap(), 128 + 15);
    let missing = Guarded::start("missing", folder.path(), &Command::new("/no/such/program"))
        .unwrap()
        .wait(DEADLINE)
        .await;
    assert_eq!(missing.unwrap(), 127);
}

/// What a test process leaves when it is killed: this test, run again as a process of its own, is that process.
#[tokio::test]
async fn children_and_folders_go_when_the_process_that_made_them_is_killed() {
    const ROLE: &str = "HARNESS_TEST_VICTIM";
    if let Some(note) = std::env::var_os(ROLE) {
        let folder = Folder::new("watchpolicy-test").unwrap();
        let child = Guarded::start("child", folder.path(), Command::new("sleep").arg("600")).unwrap();
        let text = format!("{} {}", child.pid().await.unwrap(), folder.path().display());
        std::fs::write(&note, text).unwrap();
        std::future::pending::<()>().await;
    }
    let notes = Folder::new("watchpolicy-test").unwrap();
    let note = notes.path().join("note");
    let name = "controlplane::children_and_folders_go_when_the_process_that_made_them_is_killed";
    let mut victim = Command::new(std::env::current_exe().unwrap());
    let mut victim = victim.args(["--exact", name]).env(ROLE, &note).spawn().unwrap();
    let (pid, left) = eventually(DEADLINE, "the process has started its child", async || {
        let text = std::fs::read_to_string(&note).ok()?;
        let (pid, folder) = text.split_once(' ')?;
        Some((pid.parse::<u32>().ok()?, PathBuf::from(folder)))
    })
    .await
    .unwrap();
    assert!(runs(pid) && left.exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    is_gone(pid).await.unwrap();
    eventually(DEADLINE, "the folder is gone", async || (!Path::new(&left).exists()).then_some(()))
        .await
        .unwrap();
}
