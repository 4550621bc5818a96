//! What Helm refuses of the chart's values, and what its notes warn of.

use crate::chart::{helm, render};
use crate::harness::helm::CHART;
use crate::harness::operator::INSTALL;

#[tokio::test]
async fn values_that_are_not_known_or_not_of_their_type_are_refused_by_name() {
    let (helm, _folder) = helm().await;
    let cases = [
        ("replicaCuont=2", "replicaCuont"),
        ("image.tga=1", "tga"),
        ("rbac.targets.raed=", "raed"),
        ("rbac.targets.presets={workload}", "'workloads', 'services', 'namespaces'"),
        ("rbac.targets.presets={services,services}", "presets"),
        ("rbac.targets.namespaces={Shop}", "namespaces"),
        ("rbac.targets.namespaces={shop,shop}", "namespaces"),
        ("enforcement.enabled=yes", "enabled"),
        ("enforcement.writeQps=0", "writeQps"),
        ("enforcement.allowFixOf={Secrets}", "allowFixOf"),
        ("rbac.targets.write[0].resources={pods}", "apiGroups"),
        ("rbac.targets.write[0].verbs={delete}", "verbs"),
        ("rbac.targets.write[0].verbs={list,watch}", "verbs"),
        ("replicaCount=two", "replicaCount"),
        ("image.digest=latest", "digest"),
        ("image.repository=corp/watchpolicy:1", "repository"),
        ("log.format=xml", "format"),
        ("leaderElection.leaseDuration=15", "leaseDuration"),
        ("metrics.service.port=0", "port"),
        ("monitoring.rules.enable=true", "enable"),
        ("monitoring.rules.disabled={WatchPolicyViolationRising}", "WatchPolicyViolationsRising"),
        ("monitoring.authorization.type=Basic", "Bearer"),
        ("monitoring.authorization.credentials.name=scraper", "key"),
        ("reports.results=Everything", "results"),
        ("reports.qps=0", "qps"),
        ("events.onResource=true", "onResource"),
        ("networkPolicy.apiServerPorts={}", "apiServerPorts"),
        ("rbac.targets.read[0].resources={pods}", "apiGroups"),
        ("rbac.targets.read[0].verbs={get}", "verbs"),
        ("rbac.targets.read[0].apiGroups={core}", "apiGroups"),
        ("rbac.targets.read[0].apiGroups={apps/v1}", "apiGroups"),
        ("rbac.targets.read[0].resources={Pods}", "resources"),
        ("image.registry=registry.example.com:5000 #", "registry"),
        ("serviceAccount.name=a: b", "serviceAccount"),
        ("priorityClassName=x\n      hostPID: true", "priorityClassName"),
        ("podDisruptionBudget.minAvailable=200%", "minAvailable"),
        ("podDisruptionBudget.maxUnavailable=00%", "maxUnavailable"),
        ("log=null", "log"),
        ("leaderElection=null", "leaderElection"),
        ("leaderElection.leaseDuration=null", "leaseDuration"),
        ("replicaCount=null", "replicaCount"),
    ];
    for (value, named) in cases {
        let error = render(&helm, &["--set", value]).await.expect_err(value).to_string();
        assert!(error.contains("schema") && error.contains(named), "{value}: {error}");
    }
}

#[tokio::test]
async fn values_that_cannot_work_are_refused_with_a_way_out() {
    let (helm, _folder) = helm().await;
    let cases = [
        ("rbac.targets.defaults=true", "has become rbac.targets.presets=[workloads, services, namespaces]"),
        ("rbac.targets.defaults=false", "has become rbac.targets.presets=[]. Set that"),
        (
            "rbac.targets.namespaces={shop},rbac.targets.read[0].apiGroups={storage.k8s.io},\
             rbac.targets.read[0].resources={storageclasses}",
            "rbac.targets.read has storageclasses, which are in no namespace",
        ),
        (
            "rbac.targets.namespaces={shop},rbac.targets.write[0].apiGroups={storage.k8s.io},\
             rbac.targets.write[0].resources={storageclasses}",
            "rbac.targets.write has storageclasses, which are in no namespace",
        ),
        ("leaderElection.enabled=false", "all of them would write. Set leaderElection.enabled=true"),
        ("leaderElection.renewDeadline=15s", "a leader must stop before others may take over"),
        ("leaderElection.retryPeriod=6s", "retryPeriod at most half of renewDeadline"),
        ("leaderElection.leaseDuration=301s", "which is 300s at most"),
        ("monitoring.serviceMonitor.enabled=true,metrics.service.enabled=false", "use monitoring.podMonitor"),
        ("monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true", "Choose one"),
        ("metrics.auth=true,monitoring.podMonitor.enabled=true", "cannot show the token of Prometheus"),
        (
            "metrics.auth=true,monitoring.serviceMonitor.enabled=true,monitoring.authorization.type=Bearer",
            "monitoring.authorization has no credentials",
        ),
        (
            "tls.secretName=tls,monitoring.podMonitor.enabled=true,monitoring.tlsConfig.caFile=/ca.crt",
            "monitoring.tlsConfig has caFile, and a PodMonitor reads no files",
        ),
        ("extraArgs={--metrics-auth}", "Use the value metrics.auth"),
        ("extraArgs={--reports=All}", "Use the value reports.results"),
        ("events.enabled=false,events.onResources=true", "no events are written then"),
        ("serviceAccount.create=false", "Name the ServiceAccount that is there"),
        ("podDisruptionBudget.minAvailable=2", "no node that runs one could be drained"),
        ("podDisruptionBudget.minAvailable=100%", "no node that runs one could be drained"),
        ("podDisruptionBudget.minAvailable=51%", "no node that runs one could be drained"),
        ("podDisruptionBudget.maxUnavailable=0", "no node that runs one could be drained"),
        ("podDisruptionBudget.minAvailable=1,podDisruptionBudget.maxUnavailable=1", "Set the other to null"),
        ("extraArgs={--log-level=debug}", "Use the value log.level"),
        ("extraArgs={--lease-duration,20s}", "Use the value leaderElection.leaseDuration"),
        ("extraArgs={--namespace,default}", "the operator works from the release's namespace"),
        ("extraArgs={--listen=[::]:8081}", "Write --listen=ADDRESS:8080"),
        ("extraEnv[0].name=POD_NAME", "which the chart sets from the pod"),
        ("extraEnv[0].name=A,extraEnv[1].name=A", "extraEnv has A twice"),
        ("extraEnv[0].name=WATCHPOLICY_LEASE_NAME", "Use the value fullnameOverride"),
        ("extraEnv[0].name=WATCHPOLICY_IDENTITY", "which each pod has of its own"),
        ("extraEnv[0].name=WATCHPOLICY_LISTEN", "Write --listen=ADDRESS:8080"),
        ("crds.enabled=false,crds.keep=false", "with it every policy. Leave crds.keep=true"),
        (r"podLabels.helm\.sh/chart=mine", "podLabels has helm.sh/chart"),
        (r"metrics.service.labels.helm\.sh/chart=mine", "metrics.service.labels has helm.sh/chart"),
        (r"podAnnotations.kubectl\.kubernetes\.io/default-container=mine", "there is one container"),
    ];
    for (value, words) in cases {
        let error = render(&helm, &["--set", value]).await.expect_err(value).to_string();
        assert!(error.contains(words), "{value}: {error}");
    }
}

#[tokio::test]
async fn what_is_odd_and_works_is_let_through() {
    let (helm, _folder) = helm().await;
    for value in [
        "podDisruptionBudget.minAvailable=50%",
        "podDisruptionBudget.maxUnavailable=1%",
        "extraArgs={--listen=[::]:8080}",
        "nodeSelector=null",
        "rbac.targets.defaults=null",
        "rbac.targets.namespaces={shop},rbac.targets.read[0].apiGroups={example.com},\
         rbac.targets.read[0].resources={nodes}",
        "rbac.targets.read[0].apiGroups={apps},rbac.targets.read[0].resources={pods},\
         rbac.targets.read[0].verbs={list,watch}",
    ] {
        render(&helm, &["--set", value]).await.expect(value);
    }
}

#[tokio::test]
async fn the_notes_of_a_release_that_may_enforce_tell_how_to_stop_it_by_its_own_names() {
    let (helm, _folder) = helm().await;
    let notes = async |values: &[&str]| {
        let install = ["install", "policies", CHART, "--namespace", "governance", "--dry-run=client"];
        helm.run(&[&install, values].concat()).await.unwrap()
    };
    let told = notes(&["--set", "enforcement.enabled=true"]).await;
    let command = "kubectl -n governance annotate lease policies-watchpolicy watchpolicy.io/writes=stopped";
    assert!(told.contains("--lease-name=policies-watchpolicy") && told.contains(command), "{told}");
    for values in
        ["enforcement.enabled=false", "enforcement.enabled=true,leaderElection.enabled=false,replicaCount=1"]
    {
        assert!(!notes(&["--set", values]).await.contains("annotate lease"), "{values}");
    }
}

#[tokio::test]
async fn the_notes_warn_of_each_part_that_is_switched_off() {
    let (helm, _folder) = helm().await;
    let image = "image.registry=registry.example.com";
    let cases: &[(&str, &[&str])] = &[
        ("image.tag=", &["the image is watchpolicy:"]),
        (image, &[]),
        ("crds.enabled=false", &["crds.enabled"]),
        ("crds.keep=false", &["crds.keep"]),
        ("rbac.create=false", &["rbac.create"]),
        ("rbac.aggregate=false", &["rbac.aggregate"]),
        ("rbac.targets.presets=null", &["rbac.targets.presets is empty"]),
        ("rbac.targets.namespaces={shop}", &[]),
        ("rbac.targets.read[0].apiGroups={},rbac.targets.read[0].resources={secrets}", &["has Secrets"]),
        (
            "rbac.targets.write[0].apiGroups={},rbac.targets.write[0].resources={secrets}",
            &["write has Secrets"],
        ),
        ("rbac.targets.write[0].apiGroups={},rbac.targets.write[0].resources={configmaps}", &[]),
        (
            "rbac.targets.write[0].apiGroups={apps},rbac.targets.write[0].resources={*}",
            &["more than is named"],
        ),
        (
            "rbac.targets.write[0].apiGroups={*},rbac.targets.write[0].resources={*}",
            &["everything, its own rights among it", "write has Secrets"],
        ),
        ("metrics.auth=true", &["metrics.auth"]),
        ("serviceAccount.automount=false", &["serviceAccount.automount"]),
        ("replicaCount=0", &["replicaCount is 0"]),
        ("replicaCount=1", &["replicaCount is 1"]),
        ("replicaCount=1,leaderElection.enabled=false", &["replicaCount is 1", "leaderElection.enabled"]),
        ("podDisruptionBudget.enabled=false", &["podDisruptionBudget.enabled"]),
        ("metrics.service.enabled=false", &["`watchpolicy violations` has no Service to go through"]),
        ("metrics.service.enabled=false,violations.enabled=false", &["port 8080."]),
    ];
    for (value, expected) in cases {
        let value = if value.starts_with("image") { (*value).to_owned() } else { format!("{image},{value}") };
        let value = value.replace("apiGroups={}", "apiGroups[0]=");
        let printed =
            helm.run(&[INSTALL, &["--dry-run=client", "--set", &value][..]].concat()).await.unwrap();
        let (_, notes) = printed.split_once("\nNOTES:\n").unwrap();
        let warnings: Vec<_> = notes.split("WARNING: ").skip(1).collect();
        assert_eq!(warnings.len(), expected.len(), "{value}: {warnings:#?}");
        for (warning, words) in warnings.iter().zip(*expected) {
            assert!(warning.contains(words), "{value}: {warning}");
        }
    }
}
