//! What is watched for which policies.

mod unknown;

use proptest::prelude::*;

use super::*;
use crate::crd::WatchPolicy;
use crate::jsonpath::{Document, TypeMeta};
use crate::policy::catalog::ServedVersion;
use crate::policy::{
    PolicyEntry, PolicyState, Relative, Relatives, Settings, Shape, Subject, Taken, compile, is_followed,
};

fn catalog() -> Catalog {
    let served = |kind: &str, namespaced| ServedResource { kind: kind.into(), namespaced, watchable: true };
    let version = |resources: &[(&str, ServedResource)]| ServedVersion {
        version: "v1".into(),
        resources: resources.iter().map(|(name, served)| ((*name).into(), served.clone())).collect(),
    };
    let core = version(&[
        ("configmaps", served("ConfigMap", true)),
        ("namespaces", served("Namespace", false)),
        ("pods", served("Pod", true)),
    ]);
    let apps =
        version(&[("deployments", served("Deployment", true)), ("replicasets", served("ReplicaSet", true))]);
    Catalog { groups: [("".into(), vec![core]), ("apps".into(), vec![apps])].into(), ..Catalog::default() }
}

fn set(policies: &[(&str, &str)]) -> PolicySet {
    let entry = |(n, (target, path)): (usize, &(&str, &str))| {
        let yaml = format!(
            "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: p{n}, uid: u{n}}}, \
             spec: {{targets: [{target}], rules: [{{name: r, path: '{path}', assert: {{exists: true}}}}]}}}}"
        );
        let policy: WatchPolicy = serde_saphyr::from_str(&yaml).unwrap();
        let compiled = compile(&policy, &Settings::default()).unwrap();
        let name: Arc<str> = format!("p{n}").into();
        let state = PolicyState::Compiled(Arc::new(compiled));
        let entry = PolicyEntry {
            name: Arc::clone(&name),
            uid: format!("u{n}").into(),
            generation: 1,
            mode: None,
            on_delete: None,
            deleting: false,
            finalizers: Box::default(),
            state,
        };
        (name, Arc::new(entry))
    };
    PolicySet { revision: 1, entries: policies.iter().enumerate().map(entry).collect() }
}

/// `resource@namespace?labels&fields`, with `!` for metadata only and the number of policies.
fn watches(policies: &[(&str, &str)]) -> Vec<String> {
    let show = |spec: &WatchSpec| {
        format!(
            "{}{}{}{}{} {}",
            spec.resource.resource,
            spec.namespace.as_deref().map(|namespace| format!("@{namespace}")).unwrap_or_default(),
            spec.labels.as_deref().map(|labels| format!("?{labels}")).unwrap_or_default(),
            spec.fields.as_deref().map(|fields| format!("&{fields}")).unwrap_or_default(),
            if spec.metadata_only { "!" } else { "" },
            spec.policies.len(),
        )
    };
    demand(&set(policies), &catalog()).watches.iter().map(show).collect()
}

const DEPLOYMENTS: &str = "{group: apps, resources: [deployments]}";
const SPEC: &str = "$.spec.replicas";

#[test]
fn policies_share_one_watch_of_a_resource() {
    assert_eq!(watches(&[(DEPLOYMENTS, SPEC), (DEPLOYMENTS, "$.spec.paused")]), ["deployments.apps 2"]);
}

#[test]
fn a_watch_finds_each_policy_that_it_serves_by_its_name() {
    let set = set(&[("{resources: [pods]}", "$namespace.metadata.labels.a"); 12]);
    let watches = demand(&set, &catalog()).watches;
    let [namespaces, pods] = [0, 1].map(|place| watches.get(place).unwrap());
    for name in set.entries.keys() {
        assert_eq!(pods.program(name).unwrap().0.name, *name);
        assert!(namespaces.is_around(name));
    }
    assert!(pods.program("nobody").is_none() && !pods.is_around("p0"));
}

#[test]
fn metadata_is_enough_when_nothing_else_is_read() {
    let owner = "$.metadata.annotations.owner";
    assert_eq!(watches(&[(DEPLOYMENTS, owner)]), ["deployments.apps! 1"]);
    assert_eq!(watches(&[(DEPLOYMENTS, owner), (DEPLOYMENTS, SPEC)]), ["deployments.apps 2"]);
}

#[test]
fn named_namespaces_are_watched_one_by_one_until_somebody_wants_all() {
    let (a, b) = (
        "{group: apps, resources: [deployments], namespaces: [a]}",
        "{group: apps, resources: [deployments], namespaces: [a, b]}",
    );
    assert_eq!(watches(&[(a, SPEC), (b, SPEC)]), ["deployments.apps@a 2", "deployments.apps@b 1"]);
    assert_eq!(watches(&[(a, SPEC), (DEPLOYMENTS, SPEC)]), ["deployments.apps 2"]);
    let cluster_scoped = "{resources: [namespaces], namespaces: [a]}";
    assert_eq!(watches(&[(cluster_scoped, SPEC)]), ["namespaces 1"]);
}

#[test]
fn who_names_namespaces_has_spare_watches_beside_that_of_everything() {
    let a = "{group: apps, resources: [deployments], namespaces: [a]}";
    let demand = demand(&set(&[(a, SPEC), (DEPLOYMENTS, SPEC)]), &catalog());
    let spares: Vec<_> =
        demand.spares.iter().map(|spare| (spare.namespace.as_deref(), spare.policies.len())).collect();
    assert_eq!(spares, [(Some("a"), 1)]);
}

#[test]
fn who_names_namespaces_has_spares_however_many_others_name() {
    let names = |of: &str| (0..40).map(|n| format!("{of}{n}")).collect::<Vec<_>>().join(", ");
    let target = |of: &str| format!("{{group: apps, resources: [deployments], namespaces: [{}]}}", names(of));
    let found = demand(&set(&[(&target("a"), SPEC), (&target("b"), SPEC)]), &catalog());
    let wide = found.watches.iter().map(|spec| spec.namespace.as_deref()).collect::<Vec<_>>();
    assert_eq!((wide, found.spares.len()), (vec![None], 80));
}

#[test]
fn a_selector_is_left_to_the_server_only_when_all_have_the_same() {
    let gold = "{group: apps, resources: [deployments], labelSelector: {matchLabels: {tier: gold}}}";
    assert_eq!(watches(&[(gold, SPEC), (gold, SPEC)]), ["deployments.apps?tier in (gold) 2"]);
    assert_eq!(watches(&[(gold, SPEC), (DEPLOYMENTS, SPEC)]), ["deployments.apps 2"]);
}

#[test]
fn a_field_selector_is_left_to_the_server_when_all_have_the_same_and_is_read_anyway() {
    let on = |selector: &str| format!("{{resources: [pods], fieldSelector: '{selector}'}}");
    let (running, same) =
        (on("status.phase=Running,spec.nodeName!="), on("spec.nodeName!=,status.phase==Running"));
    assert_eq!(
        watches(&[(&running, "$.metadata.name"), (&same, SPEC)]),
        ["pods&spec.nodeName!=,status.phase=Running 2"]
    );
    assert_eq!(watches(&[(&running, SPEC), (&on("status.phase=Failed"), SPEC)]), ["pods 2"]);
    assert_eq!(watches(&[(&on("metadata.name=a"), "$.metadata.labels.a")]), ["pods&metadata.name=a! 1"]);
    let pods_and_all = format!("{}, {{resources: [pods]}}", on("metadata.name=a"));
    assert_eq!(watches(&[(&pods_and_all, SPEC)]), ["pods 1"], "the other entry takes more");
}

#[test]
fn what_nobody_judges_and_is_passed_on_the_way_to_a_controller_is_watched_all_the_same() {
    let target = "{resources: [pods]}, {group: apps, resources: [deployments]}, \
                  {group: apps, resources: [replicasets], fieldSelector: metadata.name=a, \
                  labelSelector: {matchLabels: {tier: gold}}}";
    assert_eq!(watches(&[(target, SPEC)]), ["pods 1", "deployments.apps 1", "replicasets.apps 1"]);
}

#[test]
fn a_custom_resource_is_selected_by_the_fields_that_its_definition_names() {
    let target = "{group: example.com, resources: [widgets], fieldSelector: spec.color=blue}";
    let served = ServedResource { kind: "Widget".into(), namespaced: true, watchable: true };
    let version = ServedVersion { version: "v1".into(), resources: [("widgets".into(), served)].into() };
    let mut catalog =
        Catalog { groups: [("example.com".into(), vec![version])].into(), ..Catalog::default() };
    let set = set(&[(target, SPEC)]);
    let fields = |catalog: &Catalog| demand(&set, catalog).watches.remove(0).fields;
    assert_eq!(fields(&catalog), None, "not known yet, so it is applied on our side");
    let widgets = Gvr::new("example.com", "v1", "widgets");
    catalog.selectable.insert(widgets.clone(), ["spec.color".into()].into());
    assert_eq!(fields(&catalog).as_deref(), Some("spec.color=blue"));
    catalog.selectable.insert(widgets, ["spec.size".into()].into());
    let found = demand(&set, &catalog);
    assert!(found.watches.is_empty());
    let words = found.targets["p0"][0].found.clone().unwrap_err().to_string();
    let wanted =
        "widgets.v1.example.com cannot be selected by `spec.color`, only by metadata.name, spec.size";
    assert!(words.starts_with(wanted), "{words}");
}

#[test]
fn namespaces_are_watched_where_a_policy_reads_them_and_that_watch_is_shared() {
    let team = "$namespace.metadata.labels.team";
    assert_eq!(watches(&[(DEPLOYMENTS, team)]), ["namespaces! 0", "deployments.apps! 1"]);
    let own = "{resources: [namespaces], labelSelector: {matchLabels: {tier: gold}}}";
    assert_eq!(watches(&[(own, "$.metadata.labels.team")]), ["namespaces?tier in (gold)! 1"], "of itself");
    assert_eq!(watches(&[(DEPLOYMENTS, team), (own, SPEC)]), ["namespaces 1", "deployments.apps! 1"]);
    let selecting = "{group: apps, resources: [deployments], namespaceSelector: {matchLabels: {env: prod}}}";
    let found = demand(&set(&[(selecting, SPEC)]), &catalog());
    assert!(found.targets["p0"][0].needs_namespaces);
    let namespaces = &found.watches[0];
    assert!(namespaces.around.len() == 1 && namespaces.carries_around(&namespaces.around[0]));
    let another = demand(&set(&[(DEPLOYMENTS, team)]), &catalog()).watches.remove(0);
    assert!(!another.carries_around(&namespaces.around[0]));
}

#[test]
fn what_leads_from_pods_to_a_target_is_watched_for_its_metadata() {
    let pods = "{resources: [pods]}";
    let both = format!("{pods}, {DEPLOYMENTS}");
    assert_eq!(watches(&[(&both, SPEC)]), ["pods 1", "deployments.apps 1", "replicasets.apps! 0"]);
    let named = both.replace("[pods]", "[pods], namespaces: [a]");
    assert_eq!(watches(&[(&named, SPEC)]), ["pods@a 1", "deployments.apps 1", "replicasets.apps@a! 0"]);
    assert_eq!(watches(&[(pods, SPEC)]), ["pods 1"], "nothing above is targeted");
    assert_eq!(watches(&[(DEPLOYMENTS, SPEC)]), ["deployments.apps 1"]);
}

#[test]
fn what_leads_from_pods_is_watched_wherever_they_are_though_it_is_a_target_in_fewer_namespaces() {
    let own = |pods: &str, own: &str| {
        let target = format!(
            "{{resources: [pods]{pods}}}, {DEPLOYMENTS}, {{group: apps, resources: [replicasets]{own}}}"
        );
        watches(&[(&target, SPEC)])
    };
    let (a, ab) = (", namespaces: [a]", ", namespaces: [a, b]");
    assert_eq!(own("", a), ["pods 1", "deployments.apps 1", "replicasets.apps 1"]);
    assert_eq!(
        own(ab, a),
        ["pods@a 1", "pods@b 1", "deployments.apps 1", "replicasets.apps@a 1", "replicasets.apps@b! 0"]
    );
    assert_eq!(
        own(a, ab),
        ["pods@a 1", "deployments.apps 1", "replicasets.apps@a 1", "replicasets.apps@b 1"],
        "no more than it is a target"
    );
}

#[test]
fn what_is_not_served_is_a_target_without_a_watch() {
    let found = demand(&set(&[("{group: example.com, resources: [widgets]}", SPEC)]), &catalog());
    assert!(found.watches.is_empty());
    assert!(matches!(found.targets["p0"][0].found, Err(Unresolved::Absent { .. })));
}

#[test]
fn a_running_watch_serves_what_asks_for_no_more() {
    let spec = |policies: &[(&str, &str)]| demand(&set(policies), &catalog()).watches.remove(0);
    let one = spec(&[(DEPLOYMENTS, SPEC)]);
    let two = spec(&[(DEPLOYMENTS, SPEC), (DEPLOYMENTS, "$.spec.paused")]);
    assert!(two.brings(&one) && !one.brings(&two));
    let metadata = spec(&[(DEPLOYMENTS, "$.metadata.annotations.owner")]);
    assert!(!metadata.brings(&one));
}

fn target() -> impl Strategy<Value = String> {
    let namespaces = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    let label = prop::sample::select(vec![
        "",
        "labelSelector: {matchLabels: {tier: gold}}",
        "labelSelector: {matchLabels: {tier: tin}}",
    ]);
    let exclude = prop::sample::select(vec!["", "excludeNamespaces: ['b*']"]);
    let field = prop::sample::select(vec![
        "",
        "fieldSelector: status.phase=Running",
        "fieldSelector: 'status.phase!=Running'",
        "fieldSelector: metadata.namespace=a",
    ]);
    (namespaces, label, exclude, field).prop_map(|(namespaces, label, exclude, field)| {
        let namespaces = format!("namespaces: [{}]", namespaces.join(", "));
        let parts = [namespaces, label.to_owned(), exclude.to_owned(), field.to_owned()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{{resources: [pods], {}}}", parts.join(", "))
    })
}

proptest! {
    /// The server shows an object to a watch by namespace and selector; whoever takes the object is served there.
    #[test]
    fn every_object_that_a_policy_takes_is_delivered_and_judged_as_if_all_were_watched(
        targets in prop::collection::vec((target(), prop::sample::select(vec![SPEC, "$.spec.paused", "$.metadata.labels.tier"])), 1..5),
        namespace in prop::sample::select(vec!["a", "b", "c", "d"]),
        tier in prop::sample::select(vec!["gold", "tin"]),
        phase in prop::sample::select(vec!["Running", "Failed"]),
    ) {
        let policies: Vec<_> = targets.iter().map(|(target, path)| (target.as_str(), *path)).collect();
        let set = set(&policies);
        let raw = format!(
            r#"{{"metadata":{{"name":"x","namespace":"{namespace}","labels":{{"tier":"{tier}"}}}},"spec":{{"replicas":1}},
                "status":{{"phase":"{phase}"}}}}"#
        );
        let resource = GroupResource::new("", "pods");
        let types = TypeMeta { api_version: "v1".into(), kind: "Pod".into() };
        let demand = demand(&set, &catalog());
        for policy in set.running() {
            let roots = policy.roots(&resource);
            let mut alone = Projection::default();
            policy.read(&resource, &roots, &mut alone);
            let judge = |projection: &Projection| {
                let document = Document::decode(&raw, projection, &types).unwrap();
                let subject =
                    Subject {
                        resource: &resource,
                        kind: "Pod",
                        roots: &roots,
                        document: &document,
                        namespace: None,
                        now: jiff::Timestamp::UNIX_EPOCH,
                    };
                (policy.takes(&subject) == Taken::Yes, policy.judge(&subject))
            };
            let (taken, expected) = judge(&alone);
            let shown = demand.watches.iter().filter(|spec| {
                spec.namespace.as_deref().is_none_or(|watched| watched == namespace)
                    && spec.labels.as_deref().is_none_or(|labels| labels == format!("tier in ({tier})"))
                    && spec.fields.as_deref().is_none_or(|fields| match fields {
                        "metadata.namespace=a" => namespace == "a",
                        fields => fields.contains("!=") == (phase != "Running"),
                    })
            });
            let judged: Vec<_> = shown
                .filter(|spec| spec.policies.iter().any(|(served, _)| Arc::ptr_eq(served, policy)))
                .map(|spec| judge(&spec.projection).1)
                .collect();
            if taken {
                prop_assert_eq!(judged, vec![expected]);
            } else {
                prop_assert!(judged.iter().all(|judgement| *judgement == expected));
            }
        }
    }
}

/// A Pod, its ReplicaSet and its Deployment, each with its uid, and none with what the rule looks for.
const CHAIN: [(&str, &str, &str, &str); 3] =
    [("", "pods", "p", "r"), ("apps", "replicasets", "r", "d"), ("apps", "deployments", "d", "")];

fn link((_, _, uid, controller): (&str, &str, &str, &str), namespace: &str, tier: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{uid}","namespace":"{namespace}","uid":"{uid}","labels":{{"tier":"{tier}"}},
            "ownerReferences":[{{"uid":"{controller}","controller":true}}]}},"spec":{{}}}}"#
    )
}

/// The chain in a namespace, as watches show it; as all of it is where there are none.
struct Shown<'w> {
    watches: Option<&'w [WatchSpec]>,
    namespace: &'w str,
    tier: &'w str,
}

impl Relatives for Shown<'_> {
    fn find(&self, policy: &CompiledPolicy, uid: &str, _: Option<&str>) -> Option<Relative> {
        let link = *CHAIN.iter().find(|link| link.2 == uid)?;
        let resource = GroupResource::new(link.0, link.1);
        let raw = self::link(link, self.namespace, self.tier);
        let mut alone = Projection::default();
        policy.read(&resource, &policy.roots(&resource), &mut alone);
        let relative = |projection: &Projection, roots| Relative {
            resource: resource.clone(),
            kind: "Kind".into(),
            roots,
            document: Arc::new(Document::decode(&raw, projection, &types("Kind")).unwrap()),
        };
        let Some(watches) = self.watches else {
            let roots = Some(Arc::new(policy.roots(&resource)));
            let is_found = policy.targets(&resource) || is_followed(&resource);
            return is_found.then(|| relative(&alone, roots));
        };
        let shown = watches.iter().filter(|spec| {
            spec.resource.resource == resource
                && spec.namespace.as_deref().is_none_or(|watched| watched == self.namespace)
                && spec.labels.as_deref().is_none_or(|labels| labels == format!("tier in ({})", self.tier))
        });
        let judged = shown.clone().find_map(|spec| {
            let (_, roots) =
                spec.policies.iter().find(|(served, _)| std::ptr::eq(&raw const **served, policy))?;
            Some(relative(&spec.projection, Some(Arc::clone(roots))))
        });
        judged.or_else(|| {
            let mut passed = shown.filter(|_| is_followed(&resource));
            passed.next().map(|spec| relative(&spec.projection, None))
        })
    }
}

fn types(kind: &str) -> TypeMeta {
    TypeMeta { api_version: "v1".into(), kind: kind.into() }
}

/// Targets of a policy: Pods, and what is above them, each somewhere.
fn chain() -> impl Strategy<Value = String> {
    let somewhere = || {
        let label = prop::sample::select(vec!["", ", labelSelector: {matchLabels: {tier: gold}}"]);
        (prop::sample::subsequence(vec!["a", "b", "c"], 0..=2), label)
            .prop_map(|(named, label)| format!("namespaces: [{}]{label}", named.join(", ")))
    };
    let own = prop::option::of(somewhere());
    (somewhere(), somewhere(), own).prop_map(|(pods, deployments, own)| {
        let own = own.map(|own| format!(", {{group: apps, resources: [replicasets], {own}}}"));
        format!(
            "{{resources: [pods], {pods}}}, {{group: apps, resources: [deployments], {deployments}}}{}",
            own.unwrap_or_default()
        )
    })
}

proptest! {
    /// A Pod is left to its controllers just where it would be if all of these were known.
    #[test]
    fn whatever_is_targeted_the_way_from_a_pod_to_its_controllers_is_watched(
        targets in prop::collection::vec(chain(), 1..4),
        namespace in prop::sample::select(vec!["a", "b", "c", "d"]),
        tier in prop::sample::select(vec!["gold", "tin"]),
    ) {
        let policies: Vec<_> = targets.iter().map(|target| (target.as_str(), "$.spec.missing")).collect();
        let set = set(&policies);
        let demand = demand(&set, &catalog());
        let (all, shown) = (
            Shown { watches: None, namespace, tier },
            Shown { watches: Some(&demand.watches), namespace, tier },
        );
        let resource = GroupResource::new("", "pods");
        for policy in set.running() {
            let roots = policy.roots(&resource);
            let mut read = Projection::default();
            policy.read(&resource, &roots, &mut read);
            let document = Document::decode(&link(CHAIN[0], namespace, tier), &read, &types("Pod")).unwrap();
            let now = jiff::Timestamp::UNIX_EPOCH;
            let subject =
                Subject { resource: &resource, kind: "Pod", roots: &roots, document: &document, namespace: None, now };
            prop_assert_eq!(policy.judge_among(&subject, &shown), policy.judge_among(&subject, &all));
        }
    }
}

#[test]
fn a_star_is_all_that_the_group_serves_in_the_version_that_a_named_one_has() {
    let all = "{group: apps, resources: ['*']}";
    assert_eq!(watches(&[(all, SPEC)]), ["deployments.apps 1", "replicasets.apps 1"]);
    let demand = demand(&set(&[(&format!("{all}, {{group: none.io, resources: ['*']}}"), SPEC)]), &catalog());
    let found: Vec<_> = demand.targets["p0"]
        .iter()
        .map(|target| (target.resource.to_string(), target.found.is_ok()))
        .collect();
    let expected = [("deployments.apps", true), ("replicasets.apps", true), ("*.none.io", false)];
    assert_eq!(found, expected.map(|(name, is_found)| (name.to_owned(), is_found)));
}

#[test]
fn what_a_star_stands_for_is_not_named_unless_another_policy_does() {
    let named = |policies: &[(&str, &str)]| {
        let watches = demand(&set(policies), &catalog()).watches;
        watches.iter().map(WatchSpec::is_named).collect::<Vec<_>>()
    };
    let all = "{group: apps, resources: ['*']}";
    assert_eq!(named(&[(all, SPEC)]), [false, false]);
    assert_eq!(named(&[(all, SPEC), (DEPLOYMENTS, SPEC)]), [true, false]);
}

#[test]
fn what_is_named_in_one_version_and_by_a_star_in_another_is_not_watched_at_all() {
    let served = ServedResource { kind: "Kind".into(), namespaced: true, watchable: true };
    let version = |version: &str, names: &[&str]| ServedVersion {
        version: version.into(),
        resources: names.iter().map(|name| ((*name).into(), served.clone())).collect(),
    };
    let versions = vec![version("v1", &["foos", "bars"]), version("v2", &["foos"])];
    let catalog = Catalog { groups: [("example.com".into(), versions)].into(), ..Catalog::default() };
    let found = |named: &str, all: &str| {
        let entry = |resource: &str, version: &str| {
            format!("{{group: example.com, resources: ['{resource}']{version}}}")
        };
        let targets = format!("{}, {}", entry("*", all), entry("foos", named));
        let demand = demand(&set(&[(&targets, SPEC)]), &catalog);
        let shown = |spec: &WatchSpec| spec.resource.to_string();
        let refused = demand.targets["p0"].iter().filter_map(|target| target.found.as_ref().err());
        (demand.watches.iter().map(shown).collect::<Vec<_>>(), refused.cloned().collect::<Vec<_>>())
    };
    for (named, all, watched) in [
        (", version: v1", "", ["bars.v1.example.com", "foos.v1.example.com"]),
        (", version: v2", "", ["bars.v1.example.com", "foos.v2.example.com"]),
        ("", ", version: v1", ["bars.v1.example.com", "foos.v1.example.com"]),
        (", version: v1", ", version: v1", ["bars.v1.example.com", "foos.v1.example.com"]),
    ] {
        assert_eq!(found(named, all), (watched.map(str::to_owned).into(), vec![]), "{named} {all}");
    }
    for (named, all, watched) in [
        (", version: v1", ", version: v2", vec![]),
        ("", ", version: v2", vec![]),
        (", version: v2", ", version: v1", vec!["bars.v1.example.com".to_owned()]),
    ] {
        let (watches, refused) = found(named, all);
        assert_eq!(watches, watched, "{named} {all}");
        let [refused] = &refused[..] else { panic!("{refused:?}") };
        assert!(refused.is_fault() && refused.to_string().contains("in two versions"), "{refused}");
    }
}

#[test]
fn what_a_target_lacks_and_what_is_left_out_of_it_is_told() {
    let policy = "{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {name: p}, spec: \
                  {targets: [{resources: [configmaps], namespaces: [a, kube-system]}], rules: [{name: r, path: \
                  $podSpec.hostNetwork, assert: {exists: true}}]}}";
    let policy: WatchPolicy = serde_saphyr::from_str(policy).unwrap();
    let settings = Settings { system_namespaces: ["kube-system".into()].into(), ..Settings::default() };
    let policy = Arc::new(compile(&policy, &settings).unwrap());
    let targets = policy_targets((&policy, false), &catalog(), &mut BTreeMap::new());
    assert_eq!((targets[0].lacks_pod, &*targets[0].left_out), (true, &["kube-system".into()][..]));
}

#[test]
fn a_target_knows_what_is_followed_between_it_and_its_controllers() {
    let demand =
        demand(&set(&[("{resources: [pods]}, {group: apps, resources: [deployments]}", SPEC)]), &catalog());
    let between = |index: usize| demand.targets["p0"][index].between.iter().map(ToString::to_string);
    assert_eq!(between(0).collect::<Vec<_>>(), ["replicasets.v1.apps"]);
    assert_eq!(between(1).count(), 0);
}

#[test]
fn who_takes_back_what_it_wrote_looks_at_all_objects_until_it_is_done() {
    let selects = "{resources: [pods], labelSelector: {matchLabels: {a: b}}}";
    let mut set = set(&[(selects, "$.spec.x")]);
    let watched = |set: &PolicySet| {
        let demand = demand(set, &catalog());
        demand.watches.iter().map(|spec| spec.labels.as_deref().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(watched(&set), [Some("a in (b)".to_owned())]);
    let entry = Arc::make_mut(set.entries.get_mut("p0").unwrap());
    entry.finalizers = [crate::policy::FINALIZER.into()].into();
    assert_eq!(watched(&set), [None], "its selector may not select any more what it wrote to");
}
