//! Evaluation: from a path and a document to the places it names, under a budget of steps.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use thiserror::Error;

use super::containers::{CONTAINER_LISTS, Joined, POD_SPEC};
use super::node::Node;
use super::path::{Path, Root, Segment};
use super::roots::{Part, Roots};
use super::trail::Trail;
use super::tree::Tree;
use super::walk::{Flow, Then, Walk, flow, settle};

/// Steps that one evaluation may take by default. A step is one member or element looked at, or a piece of
/// text compared; 100,000 take a few milliseconds, and no honest policy on an object within etcd's 1.5 MiB comes near.
pub const DEFAULT_STEPS: u32 = 100_000;

/// How much an evaluation may still do. Share one among all that should end together.
#[derive(Debug)]
pub struct Budget(u32);

impl Budget {
    /// Allows this many steps.
    pub fn new(steps: u32) -> Self {
        Self(steps)
    }

    /// Pays for one step, or tells that nothing is left.
    pub fn spend(&mut self) -> Result<(), EvalError> {
        self.spend_all(1)
    }

    /// Pays for so many steps at once, or for none where they are more than are left.
    pub(super) fn spend_all(&mut self, steps: u32) -> Result<(), EvalError> {
        self.0 = self.0.checked_sub(steps).ok_or(EvalError::OverBudget)?;
        Ok(())
    }

    /// The steps taken of a budget that had this many.
    pub(super) fn spent_of(&self, allowed: u32) -> u32 {
        allowed - self.0
    }

    /// Pays for work on this many units, of which a step covers so many; nothing for less than a step.
    pub(super) fn spend_for(&mut self, units: usize, per_step: usize) -> Result<(), EvalError> {
        self.spend_all(u32::try_from(units / per_step).or(Err(EvalError::OverBudget))?)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(DEFAULT_STEPS)
    }
}

/// Why a path could not be evaluated. Never to be taken for "found nothing".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EvalError {
    /// The budget of steps is used up.
    #[error(
        "the object is too large for this path: evaluation stopped at its limit of steps; narrow the path"
    )]
    OverBudget,
    /// The path starts at `$pod` or below, and the resource's pod is not known.
    #[error("this kind has no pod that is known; say where it is with `pod:` in the target")]
    NoPod,
    /// The path starts at `$namespace`, and nothing is known of the object's Namespace.
    #[error("the Namespace of this object is not known yet")]
    NoNamespace,
}

/// What `$namespace` is for an object.
#[derive(Clone, Copy, Debug, Default)]
pub enum NamespaceRoot<'d> {
    /// Not known: a path from there is an error.
    #[default]
    Unknown,
    /// Nothing, since the object is in no namespace.
    Nothing,
    /// The Namespace, with at least the metadata that is read of it.
    Known(&'d Tree),
}

/// Whether anything was due at a path (the contract's `whenAbsent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The part of the path that can find many found nothing: nothing is due, nothing was visited.
    Nothing,
    /// At least one place was due, and visited.
    Places,
}

/// What a path is evaluated in: the object, where its pod is, and the element of `forEach` that `$` stands for.
#[derive(Debug)]
pub struct Scope<'d> {
    object: &'d Tree,
    pod: Option<&'d [Arc<str>]>,
    namespace: NamespaceRoot<'d>,
    current: Option<(Node<'d>, &'d Trail<'d>)>,
    /// The scope of the whole object, where this is the scope of an element.
    outer: Option<&'d Scope<'d>>,
    /// `$containers` and `$appContainers` as one value, made once for an object, when a path asks for the array itself.
    containers: [OnceCell<Tree>; 2],
}

impl<'d> Scope<'d> {
    /// The scope of a whole object: `$` is the object. Of its Namespace nothing is known.
    pub fn new(object: &'d Tree, roots: &'d Roots) -> Self {
        let namespace = match roots.part {
            Part::OwnNamespace => NamespaceRoot::Known(object),
            Part::Object | Part::Namespace => NamespaceRoot::Unknown,
        };
        let (pod, containers) = (roots.pod.as_deref(), Default::default());
        Self { object, pod, namespace, current: None, outer: None, containers }
    }

    /// The same, with what is known of the object's Namespace; a Namespace is its own, whatever is said here.
    #[must_use]
    pub fn in_namespace(self, namespace: NamespaceRoot<'d>) -> Self {
        match self.namespace {
            NamespaceRoot::Unknown => Self { namespace, ..self },
            NamespaceRoot::Nothing | NamespaceRoot::Known(_) => self,
        }
    }

    /// The scope of one element of `forEach`: `$` is the element, `$object` and the other roots stay.
    pub fn within<'e>(&'e self, element: Node<'e>, trail: &'e Trail<'e>) -> Scope<'e> {
        let Self { object, pod, namespace, current: _, outer, containers: _ } = self;
        let (current, outer) = (Some((element, trail)), Some(outer.unwrap_or(self)));
        Scope { object, pod: *pod, namespace: *namespace, current, outer, containers: Default::default() }
    }

    /// What `$` is.
    fn root(&self) -> Node<'d> {
        self.current.map_or(self.object(), |(element, _)| element)
    }

    /// The names that lead to the pod, where they are known.
    pub(super) fn pod(&self) -> Option<&'d [Arc<str>]> {
        self.pod
    }

    /// The whole object.
    pub fn object(&self) -> Node<'d> {
        self.object.node()
    }

    fn all_containers(&self, joined: Joined<'_, '_>) -> Node<'_> {
        let [all, app] = &self.outer.unwrap_or(self).containers;
        let cell = if joined.root == Root::AppContainers { app } else { all };
        cell.get_or_init(|| Tree::array(joined.iter().map(|container| container.node))).node()
    }
}

/// Called for each node found, with its place; breaks off with `ControlFlow::Break`.
pub type Visit<'v, 's> = dyn FnMut(Node<'s>, &Trail<'_>) -> ControlFlow<()> + 'v;

/// Called for each place that is due, with what is there.
pub type VisitDue<'v, 's> = dyn FnMut(Option<Node<'s>>, &Trail<'_>) -> ControlFlow<()> + 'v;

impl Path {
    /// Visits every node that the path finds (RFC 9535), `null` members among them.
    pub fn each<'s>(
        &self,
        scope: &'s Scope<'_>,
        budget: &mut Budget,
        visit: &mut Visit<'_, 's>,
    ) -> Result<(), EvalError> {
        let mut found = |node: Option<Node<'s>>, trail: &Trail<'_>, _: &mut Budget| match node {
            Some(node) => flow(visit(node, trail)),
            None => Ok(()),
        };
        settle(start((self.root(), self.segments(), scope), budget, &mut found))
    }

    /// Visits every place where the path makes a value due: the tail of the path in every node that its head finds,
    /// the head being the part up to the last segment that can find many. A `null` member counts as absent and is
    /// visited as `None`; the trail's own node tells the two apart.
    ///
    /// A path that names one place is all tail, and so always due. One without a tail ([`Path::has_tail`]) makes due
    /// what it finds.
    pub fn places<'s>(
        &self,
        scope: &'s Scope<'_>,
        budget: &mut Budget,
        visit: &mut VisitDue<'_, 's>,
    ) -> Result<Due, EvalError> {
        let (head, tail) = self.head_and_tail();
        let mut due = if head.is_empty() { Due::Places } else { Due::Nothing };
        let mut place = |node: Option<Node<'s>>, trail: &Trail<'_>, _: &mut Budget| {
            flow(visit(present(node, trail), trail))
        };
        if head.is_empty() {
            settle(start((self.root(), tail, scope), budget, &mut place))?;
            return Ok(due);
        }
        let root = scope.root();
        let mut below = |node: Option<Node<'s>>, trail: &Trail<'_>, budget: &mut Budget| {
            let Some(node) = present(node, trail) else { return Ok(()) };
            due = Due::Places;
            Walk { budget, root, then: &mut place }.descend(tail, Some(node), trail)
        };
        settle(start((self.root(), head, scope), budget, &mut below))?;
        Ok(due)
    }

    /// Visits the elements of a `forEach`: what the path finds, or, where it names one place and an array is there,
    /// the elements of that array. `$containers` and `$appContainers` go over every container, at its real place. A `null` member is
    /// no element.
    pub fn elements<'s>(
        &self,
        scope: &'s Scope<'_>,
        budget: &mut Budget,
        visit: &mut Visit<'_, 's>,
    ) -> Result<(), EvalError> {
        // `$containers` is opened by its wildcard already; a container that is an array is one element.
        let root = scope.root();
        let spread = self.is_singular() && !self.is_list_of_containers();
        let mut found = |node: Option<Node<'s>>, trail: &Trail<'_>, budget: &mut Budget| match (
            present(node, trail),
            spread,
        ) {
            (Some(array @ Node::Array(_)), true) => {
                let mut element = |node: Option<Node<'s>>, trail: &Trail<'_>, _: &mut Budget| match node {
                    Some(node) => flow(visit(node, trail)),
                    None => Ok(()),
                };
                Walk { budget, root, then: &mut element }.children(None, &[], array, trail)
            }
            (Some(node), _) => flow(visit(node, trail)),
            (None, _) => Ok(()),
        };
        let all = [Segment::Wildcard];
        let segments = if self.is_list_of_containers() { &all } else { self.segments() };
        settle(start((self.root(), segments, scope), budget, &mut found))
    }

    /// Whether it is `$containers` or `$appContainers` itself.
    pub(super) fn is_list_of_containers(&self) -> bool {
        self.root().joins_containers() && self.segments().is_empty()
    }
}

/// A `null` member of an object counts as absent, as for the API server.
pub(super) fn present<'s>(node: Option<Node<'s>>, trail: &Trail<'_>) -> Option<Node<'s>> {
    node.filter(|node| !(trail.is_member() && matches!(node, Node::Null)))
}

/// What is wanted of an object.
type Wanted<'a, 's, 'd> = (Root, &'a [Segment], &'s Scope<'d>);

/// Walks from the root to what the segments find.
fn start<'s>(wanted: Wanted<'_, 's, '_>, budget: &mut Budget, then: &mut Then<'_, 's>) -> Flow {
    let (root, segments, scope) = wanted;
    let object = Trail::root(scope.object());
    let mut walk = Walk { budget, root: scope.root(), then };
    match (root, scope.current) {
        (Root::Current, Some((node, trail))) => walk.descend(segments, Some(node), trail),
        (Root::Current, None) | (Root::Object, _) => walk.descend(segments, Some(scope.object()), &object),
        (Root::Pod | Root::PodSpec | Root::Containers | Root::AppContainers, _) => {
            let names = scope.pod.ok_or(EvalError::NoPod)?;
            walk.enter_pod(wanted, names, Some(scope.object()), &object)
        }
        (Root::Namespace, _) => {
            let namespace = match scope.namespace {
                NamespaceRoot::Unknown => return Err(EvalError::NoNamespace.into()),
                NamespaceRoot::Nothing => None,
                NamespaceRoot::Known(tree) => Some(tree),
            };
            let own = namespace.is_some_and(|tree| std::ptr::eq(tree, scope.object));
            let namespace = namespace.map(Tree::node);
            let trail = if own { object } else { Trail::namespace(namespace) };
            walk.descend(segments, namespace, &trail)
        }
    }
}

impl<'s> Walk<'_, 's> {
    fn enter_pod(
        &mut self,
        wanted: Wanted<'_, 's, '_>,
        names: &[Arc<str>],
        node: Option<Node<'s>>,
        trail: &Trail<'_>,
    ) -> Flow {
        if let Some((name, names)) = names.split_first() {
            self.budget.spend()?;
            let child = node.and_then(|node| node.get(name));
            return self.enter_pod(wanted, names, child, &trail.member(name, child));
        }
        let (root, segments, scope) = wanted;
        if root == Root::Pod {
            return self.descend(segments, node, trail);
        }
        let spec = node.and_then(|node| node.get(POD_SPEC));
        let trail = trail.member(POD_SPEC, spec);
        let joined = Joined { root, spec, trail: &trail };
        match root {
            Root::PodSpec => self.descend(segments, spec, &trail),
            _ if segments.is_empty() => self.containers_as_one(scope, joined),
            _ => self.enter_joined(joined, segments),
        }
    }

    fn containers_as_one(&mut self, scope: &'s Scope<'_>, joined: Joined<'s, '_>) -> Flow {
        let there = matches!(joined.spec, Some(Node::Object(_)));
        let array = there.then(|| scope.all_containers(joined));
        (self.then)(array, &joined.trail.member(CONTAINER_LISTS[0], array), self.budget)
    }
}

#[cfg(test)]
mod tests {
    use crate::resource::GroupResource;

    use super::*;

    const DEPLOYMENT: &str = r#"{"metadata":{"name":"web"},"spec":{"replicas":1,"template":{"metadata":{"labels":{"team":null}},
        "spec":{"containers":[{"name":"a","image":"x"},{"name":"b"}],"initContainers":[{"name":"c","image":"z"}],
        "ephemeralContainers":[{"name":"d","image":null}]}}},"list":[null,1,[2]],"empty":[],"lists":[[1],[2,3]]}"#;

    fn roots() -> Roots {
        Roots::of_builtin(&GroupResource::new("apps", "deployments"))
    }

    fn shown(node: Option<Node<'_>>) -> String {
        node.map_or("-".to_owned(), |node| node.to_string())
    }

    fn each(path: &str, object: &str) -> Vec<String> {
        let (object, roots, mut found) = (object.parse().unwrap(), roots(), Vec::new());
        let scope = Scope::new(&object, &roots);
        let mut visit = |node: Node<'_>, trail: &Trail<'_>| {
            found.push(format!("{trail}={node}"));
            ControlFlow::Continue(())
        };
        Path::parse(path).unwrap().each(&scope, &mut Budget::default(), &mut visit).unwrap();
        found
    }

    fn places(path: &str, object: &str) -> (Due, Vec<String>) {
        let (object, roots, mut found) = (object.parse().unwrap(), roots(), Vec::new());
        let scope = Scope::new(&object, &roots);
        let mut visit = |node: Option<Node<'_>>, trail: &Trail<'_>| {
            found.push(format!("{trail}={}", shown(node)));
            ControlFlow::Continue(())
        };
        let due = Path::parse(path).unwrap().places(&scope, &mut Budget::default(), &mut visit).unwrap();
        (due, found)
    }

    fn elements(path: &str, object: &str) -> Vec<String> {
        let (object, roots, mut found) = (object.parse().unwrap(), roots(), Vec::new());
        let scope = Scope::new(&object, &roots);
        let mut visit = |node: Node<'_>, trail: &Trail<'_>| {
            found.push(format!("{trail}={node}"));
            ControlFlow::Continue(())
        };
        Path::parse(path).unwrap().elements(&scope, &mut Budget::default(), &mut visit).unwrap();
        found
    }

    #[test]
    fn names_indexes_and_wildcards_find_what_rfc_9535_says() {
        let object = r#"{"a":[{"b":1},{"b":2},3],"o":{"x":1,"y":null}}"#;
        let cases: [(&str, &[&str]); 10] = [
            ("$", &[r#"$={"a":[{"b":1},{"b":2},3],"o":{"x":1,"y":null}}"#]),
            ("$.a[0].b", &["a[0].b=1"]),
            ("$.a[-1]", &["a[2]=3"]),
            ("$.a[3]", &[]),
            ("$.a[*].b", &["a[0].b=1", "a[1].b=2"]),
            ("$.o.*", &["o.x=1", "o.y=null"]),
            ("$.o[0]", &[]),
            ("$.a.b", &[]),
            ("$.a.*.*", &["a[0].b=1", "a[1].b=2"]),
            ("$.missing[*].x", &[]),
        ];
        for (path, wanted) in cases {
            assert_eq!(each(path, object), wanted, "{path}");
        }
    }

    #[test]
    fn named_roots_report_the_real_places() {
        assert_eq!(
            each("$pod.metadata.labels", DEPLOYMENT),
            [r#"spec.template.metadata.labels={"team":null}"#]
        );
        assert_eq!(
            each("$containers[*].image", DEPLOYMENT),
            [
                r#"spec.template.spec.containers[0].image="x""#,
                r#"spec.template.spec.initContainers[0].image="z""#,
                "spec.template.spec.ephemeralContainers[0].image=null",
            ]
        );
        assert_eq!(
            each("$containers[2].name", DEPLOYMENT),
            [r#"spec.template.spec.initContainers[0].name="c""#]
        );
        assert_eq!(
            each("$containers[-1].name", DEPLOYMENT),
            [r#"spec.template.spec.ephemeralContainers[0].name="d""#]
        );
        assert_eq!(each("$containers[4].name", DEPLOYMENT), [""; 0]);
    }

    #[test]
    fn all_containers_are_one_array() {
        let found = each("$containers", DEPLOYMENT);
        let array =
            r#"[{"image":"x","name":"a"},{"name":"b"},{"image":"z","name":"c"},{"image":null,"name":"d"}]"#;
        assert_eq!(found, [format!("spec.template.spec.containers={array}")]);
        assert_eq!(each("$containers", r#"{"spec":{"template":{}}}"#), [""; 0]);
    }

    #[test]
    fn the_tail_is_due_in_every_node_that_the_head_finds() {
        let wanted = [
            r#"spec.template.spec.containers[0].image="x""#,
            "spec.template.spec.containers[1].image=-",
            r#"spec.template.spec.initContainers[0].image="z""#,
            "spec.template.spec.ephemeralContainers[0].image=-",
        ];
        assert_eq!(
            places("$containers[*].image", DEPLOYMENT),
            (Due::Places, wanted.map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn where_the_head_finds_nothing_nothing_is_due() {
        for path in ["$.empty[*].x", "$.missing[*].x.y", "$.spec.replicas[*].x", "$.empty[*]"] {
            assert_eq!(places(path, DEPLOYMENT), (Due::Nothing, Vec::new()), "{path}");
        }
        assert_eq!(places("$containers[*].image", "{}"), (Due::Nothing, Vec::new()));
    }

    #[test]
    fn a_path_that_names_one_place_is_always_due() {
        let cases = [
            ("$.spec.replicas", "spec.replicas=1"),
            ("$.spec.paused", "spec.paused=-"),
            ("$.a.b[0].c", "a.b[0].c=-"),
            ("$.list[-9]", "list[-9]=-"),
            ("$podSpec.hostNetwork", "spec.template.spec.hostNetwork=-"),
            ("$containers[7].image", "spec.template.spec.containers[7].image=-"),
        ];
        for (path, wanted) in cases {
            assert_eq!(places(path, DEPLOYMENT), (Due::Places, vec![wanted.to_owned()]), "{path}");
        }
    }

    #[test]
    fn null_counts_as_absent_in_an_object_and_as_a_value_in_an_array() {
        assert_eq!(
            places("$pod.metadata.labels.team", DEPLOYMENT).1,
            ["spec.template.metadata.labels.team=-"]
        );
        assert_eq!(places("$pod.metadata.labels.*", DEPLOYMENT), (Due::Nothing, Vec::new()));
        assert_eq!(places("$pod.metadata.labels.*.x", DEPLOYMENT), (Due::Nothing, Vec::new()));
        assert_eq!(places("$.list[*]", DEPLOYMENT).1, ["list[0]=null", "list[1]=1", "list[2]=[2]"]);
        assert_eq!(places("$.list[*].x", DEPLOYMENT).1, ["list[0].x=-", "list[1].x=-", "list[2].x=-"]);
    }

    #[test]
    fn for_each_on_one_array_goes_over_its_elements() {
        assert_eq!(elements("$.lists", DEPLOYMENT), ["lists[0]=[1]", "lists[1]=[2,3]"]);
        assert_eq!(elements("$.lists[*]", DEPLOYMENT), ["lists[0]=[1]", "lists[1]=[2,3]"]);
        assert_eq!(elements("$.metadata", DEPLOYMENT), [r#"metadata={"name":"web"}"#]);
        assert_eq!(elements("$.empty", DEPLOYMENT), [""; 0]);
        assert_eq!(elements("$.missing", DEPLOYMENT), [""; 0]);
        assert_eq!(elements("$containers", DEPLOYMENT), each("$containers[*]", DEPLOYMENT));
        assert_eq!(elements("$pod.metadata.labels.team", DEPLOYMENT), [""; 0]);
    }

    #[test]
    fn inside_for_each_the_element_is_current_and_the_object_stays() {
        let (object, roots, mut found) = (DEPLOYMENT.parse().unwrap(), roots(), Vec::new());
        let scope = Scope::new(&object, &roots);
        let paths =
            ["$.image", "$object.metadata.name", "$podSpec.hostPID"].map(|text| Path::parse(text).unwrap());
        let mut visit = |node: Node<'_>, trail: &Trail<'_>| {
            let inner = scope.within(node, trail);
            for path in &paths {
                let mut place = |node: Option<Node<'_>>, trail: &Trail<'_>| {
                    found.push(format!("{trail}={}", shown(node)));
                    ControlFlow::Continue(())
                };
                path.places(&inner, &mut Budget::default(), &mut place).unwrap();
            }
            ControlFlow::Break(())
        };
        Path::parse("$podSpec.initContainers")
            .unwrap()
            .elements(&scope, &mut Budget::default(), &mut visit)
            .unwrap();
        assert_eq!(
            found,
            [
                r#"spec.template.spec.initContainers[0].image="z""#,
                r#"metadata.name="web""#,
                "spec.template.spec.hostPID=-"
            ]
        );
    }

    #[test]
    fn a_kind_without_a_known_pod_is_an_error_and_not_an_absence() {
        let (object, roots) = (DEPLOYMENT.parse().unwrap(), Roots::default());
        let scope = Scope::new(&object, &roots);
        for path in ["$pod.metadata", "$podSpec", "$containers[*].image"] {
            let path = Path::parse(path).unwrap();
            let mut visit = |_: Option<Node<'_>>, _: &Trail<'_>| ControlFlow::Continue(());
            assert_eq!(
                path.places(&scope, &mut Budget::default(), &mut visit),
                Err(EvalError::NoPod),
                "{path}"
            );
        }
    }

    #[test]
    fn the_namespace_of_an_object_is_looked_at_where_it_is() {
        let (object, namespace): (Tree, Tree) =
            (DEPLOYMENT.parse().unwrap(), r#"{"metadata":{"labels":{"team":"blue"}}}"#.parse().unwrap());
        let (of_object, of_namespace) = (roots(), Roots::of_builtin(&GroupResource::new("", "namespaces")));
        let path = Path::parse("$namespace.metadata.labels.team").unwrap();
        let told = |scope: Scope<'_>| {
            let mut found = String::new();
            let mut visit = |node: Option<Node<'_>>, trail: &Trail<'_>| {
                found = format!("{trail}={}", shown(node));
                ControlFlow::Continue(())
            };
            path.places(&scope, &mut Budget::default(), &mut visit).map(|_| found)
        };
        let known = NamespaceRoot::Known(&namespace);
        assert_eq!(
            told(Scope::new(&object, &of_object).in_namespace(known)).unwrap(),
            r#"$namespace.metadata.labels.team="blue""#
        );
        assert_eq!(
            told(Scope::new(&object, &of_object).in_namespace(NamespaceRoot::Nothing)).unwrap(),
            "$namespace.metadata.labels.team=-"
        );
        assert_eq!(told(Scope::new(&object, &of_object)), Err(EvalError::NoNamespace));
        let own = Scope::new(&namespace, &of_namespace).in_namespace(NamespaceRoot::Nothing);
        assert_eq!(told(own).unwrap(), r#"metadata.labels.team="blue""#);
    }

    #[test]
    fn a_large_object_ends_at_the_budget_and_not_as_found_nothing() {
        let wide: Tree = format!("[{}]", vec!["[0,0,0,0,0,0,0,0,0]"; 20_000].join(",")).parse().unwrap();
        let roots = Roots::default();
        let scope = Scope::new(&wide, &roots);
        let path = Path::parse("$[*][*]").unwrap();
        let mut visit = |_: Option<Node<'_>>, _: &Trail<'_>| ControlFlow::Continue(());
        assert_eq!(path.places(&scope, &mut Budget::default(), &mut visit), Err(EvalError::OverBudget));
        assert_eq!(path.places(&scope, &mut Budget::new(200_000), &mut visit), Ok(Due::Places));
    }

    #[test]
    fn a_visitor_can_break_off() {
        let (object, roots, mut seen) = (DEPLOYMENT.parse().unwrap(), roots(), 0);
        let scope = Scope::new(&object, &roots);
        let mut visit = |_: Node<'_>, _: &Trail<'_>| {
            seen += 1;
            ControlFlow::Break(())
        };
        Path::parse("$containers[*].name").unwrap().each(&scope, &mut Budget::default(), &mut visit).unwrap();
        assert_eq!(seen, 1);
    }
}
