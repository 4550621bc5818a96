//! Exceptions: which objects and containers rules leave alone, and what they did for an object.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use jiff::Timestamp;

use crate::jsonpath::{Document, Node, Path, Projection, Roots, Scope, Trail};

use super::clock::Clock;
use super::glob::{self, Glob};
use super::image::Image;
use super::meter::Meter;
use super::program::Rule;
use super::selector::Selector;
use super::verdict::{Excepted, Grant, NODES_PER_RULE, Outcome, RuleVerdict};

/// Bytes of an image's reference that globs are matched with: longer than any that can be pulled.
const IMAGE_LIMIT: usize = 1024;

/// One entry of `exceptions`. All that is given must fit.
#[derive(Debug)]
pub struct CompiledException {
    /// Its name.
    pub name: Arc<str>,
    /// The instant at which it ends; `None` where it stands for good.
    pub until: Option<Timestamp>,
    /// Empty for any namespace, or none; as are the others.
    pub(super) namespaces: Box<[Glob]>,
    pub(super) names: Box<[Glob]>,
    pub(super) labels: Option<Selector>,
    pub(super) images: Box<[Glob]>,
    pub(super) rules: Box<[Arc<str>]>,
}

impl CompiledException {
    /// Adds what it reads of an object.
    pub(super) fn read(&self, roots: &Roots, projection: &mut Projection) {
        if self.labels.is_some() {
            projection.read_labels();
        }
        if !self.images.is_empty() {
            let images = Path::parse("$containers[*].image");
            images.iter().for_each(|images| projection.read(images, roots, None));
        }
    }

    /// Whether the object's identity and labels fit, and the time. The end of one that does not fit changes nothing.
    fn fits(&self, document: &Document, clock: &Clock) -> bool {
        let namespace = || document.id.namespace.as_deref().is_some_and(|it| glob::any(&self.namespaces, it));
        // The labels of an object that cannot be read are not known, and nothing shows that they fit.
        let knows_labels = document.root.is_ok() || !document.labels.is_empty();
        let selects = |labels: &Selector| knows_labels && labels.matches(&document.labels);
        (self.namespaces.is_empty() || namespace())
            && (self.names.is_empty() || glob::any(&self.names, &document.id.name))
            && self.labels.as_ref().is_none_or(selects)
            && self.until.is_none_or(|until| clock.is_before(until))
    }

    fn is_of(&self, rule: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|name| **name == *rule)
    }

    /// Whether a container's image fits, as it is written or in full: `nginx` is `docker.io/library/nginx:latest`.
    fn fits_container(&self, container: Node<'_>, meter: &Meter) -> bool {
        let comparisons = glob::effort(&self.images) + 1;
        let image = container.get("image").filter(|image| meter.charge(*image, comparisons).is_ok());
        let image = image.and_then(Node::as_str).filter(|image| image.len() <= IMAGE_LIMIT);
        image.is_some_and(|image| {
            let in_full = || Image::parse(image).is_some_and(|it| glob::any(&self.images, &it.to_string()));
            glob::any(&self.images, image) || in_full()
        })
    }
}

/// An exception that fits the object.
#[derive(Debug)]
struct Fitting<'p> {
    exception: &'p CompiledException,
    /// Whether it covers something that would fail or err.
    needed: Cell<bool>,
}

/// The exceptions that fit an object; takes no memory where there are none.
#[derive(Debug, Default)]
pub(super) struct Granted<'p>(Vec<Fitting<'p>>);

impl<'p> Granted<'p> {
    /// Those that fit; one with `images` only where a container's does. Without a scope, containers are not known.
    pub(super) fn of(
        exceptions: &'p [CompiledException],
        document: &Document,
        scope: Option<&Scope<'_>>,
        clock: &Clock,
    ) -> Self {
        let meter = Meter::default();
        let has_image = |exception: &CompiledException| {
            let mut containers = scope.into_iter().flat_map(Scope::containers);
            exception.images.is_empty() || containers.any(|it| exception.fits_container(it, &meter))
        };
        let fits = |exception: &&CompiledException| exception.fits(document, clock) && has_image(exception);
        let fitting = |exception| Fitting { exception, needed: Cell::new(false) };
        Self(exceptions.iter().filter(fits).map(fitting).collect())
    }

    /// A failing or erring verdict as it is where an exception covers the whole object; nothing where none does.
    pub(super) fn excuse(&self, verdict: &RuleVerdict) -> Option<RuleVerdict> {
        let covers = |fitting: &&Fitting<'_>| {
            fitting.exception.images.is_empty() && fitting.exception.is_of(&verdict.rule)
        };
        let mut covering = self.0.iter().filter(covers).inspect(|fitting| fitting.needed.set(true));
        let first = covering.next()?;
        covering.for_each(drop);
        Some(RuleVerdict {
            rule: Arc::clone(&verdict.rule),
            severity: verdict.severity,
            outcome: Outcome::Skip,
            nodes: Vec::new(),
            more: 0,
            excepted: vec![Excepted { exception: Arc::clone(&first.exception.name), path: None }],
            owned: false,
        })
    }

    /// What exempts containers from a rule, where anything does.
    pub(super) fn exempt<'g>(&'g self, rule: &Rule) -> Option<Exempt<'g, 'p>> {
        let is_of_containers = |fitting: &&Fitting<'_>| {
            !fitting.exception.images.is_empty() && fitting.exception.is_of(&rule.name)
        };
        let fitting: Vec<_> = self.0.iter().filter(is_of_containers).collect();
        let exempt =
            Exempt { fitting, meter: Meter::default(), listed: RefCell::default(), others: Cell::default() };
        (!exempt.fitting.is_empty()).then_some(exempt)
    }

    /// What the exceptions did, once all rules are judged.
    pub(super) fn grants(&self) -> Vec<Grant> {
        let grant = |fitting: &Fitting<'_>| Grant {
            exception: Arc::clone(&fitting.exception.name),
            needed: fitting.needed.get(),
        };
        self.0.iter().map(grant).collect()
    }
}

/// What exempts containers from one rule. A rule that fails is judged once more as if they were not there.
#[derive(Debug)]
pub(super) struct Exempt<'g, 'p> {
    fitting: Vec<&'g Fitting<'p>>,
    meter: Meter,
    /// What was left out, at most [`NODES_PER_RULE`].
    listed: RefCell<Vec<Excepted>>,
    /// Whether anything was judged that was not left out.
    others: Cell<bool>,
}

impl Exempt<'_, '_> {
    /// Whether a place is left out, being a container, or in one, whose image fits; it is then listed.
    pub(super) fn leaves_out(&self, place: &Trail<'_>, scope: &Scope<'_>) -> bool {
        let Some(container) = scope.container_of(place) else { return false };
        let Some(node) = container.node() else { return false };
        let fits = |fitting: &&&Fitting<'_>| fitting.exception.fits_container(node, &self.meter);
        let mut fitting = self.fitting.iter().filter(fits).inspect(|fitting| fitting.needed.set(true));
        let Some(first) = fitting.next() else { return false };
        fitting.for_each(drop);
        let exception = Arc::clone(&first.exception.name);
        self.list(Excepted { exception, path: Some(container.to_string().into()) });
        true
    }

    fn list(&self, excepted: Excepted) {
        let mut listed = self.listed.borrow_mut();
        if listed.len() < NODES_PER_RULE && !listed.contains(&excepted) {
            listed.push(excepted);
        }
    }

    /// Something was judged that is not left out.
    pub(super) fn judged_another(&self) {
        self.others.set(true);
    }

    /// The verdict with what was left out. Where nothing else was judged, the rule is skipped.
    pub(super) fn settle(self, verdict: RuleVerdict) -> RuleVerdict {
        let excepted = self.listed.into_inner();
        let nothing_else = !excepted.is_empty() && !self.others.get();
        let outcome = match verdict.outcome {
            Outcome::Pass if nothing_else => Outcome::Skip,
            outcome => outcome,
        };
        RuleVerdict { outcome, excepted, ..verdict }
    }
}
