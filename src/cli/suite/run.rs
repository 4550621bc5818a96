//! Running one suite.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::input::documents::{self, Written};
use crate::cli::input::{Origin, Trouble, Yaml, files, objects, policies};
use crate::cli::judge::World;
use crate::cli::kinds::Kinds;
use crate::cli::results::Entry;

use super::expect::{self, Comparison};
use super::file::Suite;

/// What became of a suite.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) file: PathBuf,
    pub(super) comparisons: Vec<Comparison>,
    /// What cannot be read, in the suite or in what it names: it has failed.
    pub(super) troubles: Vec<Trouble>,
    /// What the policies say of the objects.
    pub(super) results: Vec<Entry>,
    /// Kinds that were guessed, and namespaces that are not known.
    pub(super) notes: Vec<String>,
}

impl Outcome {
    pub(super) fn passed(&self) -> bool {
        self.troubles.is_empty() && self.broken().next().is_none()
    }

    /// The comparisons that are not as expected.
    pub(super) fn broken(&self) -> impl Iterator<Item = &Comparison> {
        self.comparisons.iter().filter(|comparison| comparison.broken.is_some())
    }
}

/// Runs a suite.
pub(super) fn run(path: &Path) -> Outcome {
    let mut outcome = Outcome {
        file: path.to_owned(),
        comparisons: Vec::new(),
        troubles: Vec::new(),
        results: Vec::new(),
        notes: Vec::new(),
    };
    match read(path) {
        Ok(suite) => judge(&suite, &mut outcome),
        Err(trouble) => outcome.troubles.push(trouble),
    }
    outcome
}

fn read(path: &Path) -> Result<Suite, Trouble> {
    let file = files::name(path);
    let text = files::text(path)
        .map_err(|error| Trouble::of_file(file.clone(), format!("cannot be read: {error}")))?;
    documents::typed(&file, &text)
}

fn judge(suite: &Suite, outcome: &mut Outcome) {
    let Outcome { file, comparisons, troubles, results, notes } = outcome;
    let folder = file.parent().unwrap_or(Path::new(""));
    let beside = |paths: &[PathBuf]| paths.iter().map(|path| folder.join(path)).collect::<Vec<_>>();
    let drafts = policies::drafts(&files::read(&beside(&suite.policies), troubles), troubles);
    let compiled = policies::compiled(&drafts, troubles);
    let mut documents = documents::split(&files::read(&beside(&suite.resources), troubles), troubles);
    documents.extend(inline(file, suite));
    let mut kinds = Kinds::default();
    let world = World::new(objects::unpack(&documents, troubles), &mut kinds, troubles);
    notes.extend(kinds.guesses());
    let unknown = world.unknown_namespaces(&compiled);
    notes.extend(unknown.into_iter().map(|note| format!("{}: {note}", file.display())));
    if compiled.is_empty() && troubles.is_empty() {
        troubles.push(Trouble::of_file(files::name(file), "there is no policy in `policies`"));
    }
    match world.judge(&compiled, suite.now.unwrap_or_else(Timestamp::now)) {
        // Where something is missing, expectations that miss it would only repeat so.
        Ok(judged) if troubles.is_empty() => {
            *comparisons = expect::compare(&suite.expect, &judged);
            *results = judged.into_iter().filter_map(Entry::of).collect();
            if comparisons.is_empty() && results.is_empty() {
                let message =
                    "checks nothing: no policy takes an object of it; look at `targets`, or add objects";
                troubles.push(Trouble::of_file(files::name(file), message));
            }
        }
        Ok(_) => {}
        Err(error) => troubles.push(Trouble::of_file(files::name(file), format!("{error:#}"))),
    }
}

fn inline(file: &Path, suite: &Suite) -> Vec<Written> {
    let name = files::name(file);
    let written = (1..).zip(&suite.objects).map(|(document, Yaml(object))| Written {
        origin: Origin { file: name.clone(), document, line: 1 },
        json: object.to_string().into(),
    });
    written.collect()
}
