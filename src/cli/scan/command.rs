//! The command: which cluster is asked for what, one list after the other, a few at a time.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;

use crate::cli::Answer;
use crate::cli::format::Format;
use crate::cli::input::Trouble;
use crate::cli::results::Results;
use crate::cli::severity::SeverityFlag;
use crate::cli::show::Shown;
use crate::observe::catalog;
use crate::observe::wire::{Collection, Limits, Wire, WireError};
use crate::policy::CompiledPolicy;
use crate::policy::demand::WatchSpec;

use super::pages::{self, Taker};
use super::plan::{self, Plan};
use super::progress::Progress;
use super::sweep::{Bench, Haul, MOST_KEPT, Namespaces, Sweep};
use super::{policies, refusal};

/// Lists that are asked for at a time: the API server has others to answer, too.
const AT_A_TIME: usize = 4;

/// What can be written after `watchpolicy scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Files or folders of policies; - for standard input; without it the cluster's own WatchPolicies
    #[arg(short, long, value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// Only objects in this namespace, and the Namespace itself
    #[arg(long, short, value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,
    /// The mildest severity of a violation that makes the exit status 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "info")]
    pub fail_on: SeverityFlag,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Kubeconfig file; without it $KUBECONFIG, ~/.kube/config or the pod's ServiceAccount is used
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; without it the current one
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
}

/// It becomes part of a path.
fn namespace(text: &str) -> Result<String, String> {
    let is_label =
        |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if text.is_empty() || text.len() > 63 || !is_label(text) {
        return Err("wanted a name of 1 to 63 lower-case letters, digits and hyphens".to_owned());
    }
    Ok(text.to_owned())
}

/// Judges what a cluster holds.
///
/// # Errors
/// What makes the whole of it useless: no usable kubeconfig, no answer, no policy, too many results. What cannot be
/// listed or judged in part is told in the answer.
pub async fn run(args: &ScanArgs) -> anyhow::Result<Answer> {
    let config = crate::cluster::find(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let wire = Wire::new(kube::Client::try_from(config)?, Limits::default());
    let mut troubles = Vec::new();
    let policies = if args.policies.is_empty() {
        policies::of_cluster(&wire, &mut troubles).await?
    } else {
        policies::of_files(&args.policies, &mut troubles)?
    };
    let looked = catalog::look(wire.clone(), &plan::set(&policies)).await;
    let (catalog, unread) = looked.context("the cluster does not say what it serves")?;
    let plan = Plan::of(&policies, &catalog, args.namespace.as_deref(), &mut troubles);
    let progress = Progress::of(plan.len())?;
    let bench = Bench {
        namespaces: Some(Namespaces::new()),
        now: Timestamp::now(),
        keeps_all: args.format.shows_all(),
        skips_owned: policies.iter().any(|policy| policy.skips_owned()),
        progress: &progress,
    };
    let scan = Scan { wire, bench, troubles, all: Haul::default() };
    let (mut all, troubles) = scan.run(plan, args.namespace.as_deref()).await?;
    drop(progress);
    all.entries.sort_by(|a, b| (&a.object, &a.policy).cmp(&(&b.object, &b.policy)));
    let results = Results { results: all.entries, summary: all.summary };
    let shown = Shown { results: &results, troubles: &troubles };
    let mut notes: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    notes.extend(unread.map(|unread| unread.to_string()));
    notes.extend(policies.iter().filter(|policy| policy.suspend).map(|policy| resting(policy)));
    if troubles.is_empty() {
        notes.extend(results.summary.note("object of the cluster"));
    }
    Ok(Answer { text: shown.print(args.format)?, notes, exit: shown.exit(args.fail_on.0) })
}

fn resting(policy: &CompiledPolicy) -> String {
    format!("policy {} is suspended, and judges nothing", policy.name)
}

/// A scan on its way.
struct Scan<'b> {
    wire: Wire,
    bench: Bench<'b>,
    troubles: Vec<Trouble>,
    all: Haul,
}

impl Scan<'_> {
    async fn run(mut self, plan: Plan, narrow: Option<&str>) -> anyhow::Result<(Haul, Vec<Trouble>)> {
        let Plan { namespaces, lists, spares } = plan;
        match narrow {
            Some(name) => self.the_namespace(name, namespaces).await?,
            None => self.all_namespaces(namespaces).await?,
        }
        let refused = self.lists(lists, &spares).await?;
        let is_spare = |spec: &WatchSpec| refused.iter().any(|wide| wide.resource == spec.resource);
        let spares = spares.into_iter().filter(is_spare).collect();
        self.lists(spares, &[]).await?;
        let Self { wire: _, bench, troubles, mut all } = self;
        all.settle(&bench);
        Ok((all, troubles))
    }

    /// Those that may not be listed are given back.
    async fn lists(
        &mut self,
        specs: Vec<WatchSpec>,
        spares: &[WatchSpec],
    ) -> anyhow::Result<Vec<Arc<WatchSpec>>> {
        let (wire, bench) = (&self.wire, &self.bench);
        let asked = specs.into_iter().map(Arc::new).map(async |spec| {
            let answer = list(wire, bench, &spec).await;
            (spec, answer)
        });
        let mut answers = futures::stream::iter(asked).buffer_unordered(AT_A_TIME);
        let mut refused = Vec::new();
        while let Some((spec, answer)) = answers.next().await {
            match answer {
                Ok(haul) => take_in(&mut self.all, &mut self.troubles, &spec, haul)?,
                Err(error) => {
                    self.troubles.push(refusal::of_list(&spec, &error, spares));
                    refused.extend(error.is_forbidden().then_some(spec));
                }
            }
        }
        Ok(refused)
    }

    async fn all_namespaces(&mut self, spec: Option<WatchSpec>) -> anyhow::Result<()> {
        let Some(spec) = spec.map(Arc::new) else { return Ok(()) };
        match list(&self.wire, &self.bench, &spec).await {
            Ok(mut haul) => {
                self.bench.namespaces = Some(std::mem::take(&mut haul.documents));
                take_in(&mut self.all, &mut self.troubles, &spec, haul)
            }
            Err(error) => {
                self.bench.namespaces = None;
                self.troubles.push(refusal::of_list(&spec, &error, &[]));
                Ok(())
            }
        }
    }

    /// Asks for one Namespace, whether or not a policy reads it: of one that is not there nothing would be wrong.
    async fn the_namespace(&mut self, name: &str, spec: Option<WatchSpec>) -> anyhow::Result<()> {
        let answer = self.wire.get(&format!("/api/v1/namespaces/{name}"), "application/json").await;
        let body = match (answer, spec.as_ref()) {
            (Err(error), _) if error.is_absent() => bail!("there is no namespace {name}"),
            (Err(error), Some(spec)) => {
                self.bench.namespaces = None;
                self.troubles.push(refusal::of_namespace(spec, name, &error));
                return Ok(());
            }
            (Ok(body), Some(_)) => body,
            (Ok(_) | Err(_), _) => return Ok(()),
        };
        let Some(spec) = spec.map(Arc::new) else { return Ok(()) };
        let mut sweep = Sweep::new(&self.bench, &spec);
        sweep.take(std::str::from_utf8(&body).context("the Namespace is no text")?);
        let mut haul = sweep.haul();
        self.bench.namespaces = Some(std::mem::take(&mut haul.documents));
        take_in(&mut self.all, &mut self.troubles, &spec, haul)
    }
}

async fn list(wire: &Wire, bench: &Bench<'_>, spec: &Arc<WatchSpec>) -> Result<Haul, WireError> {
    let mut sweep = Sweep::new(bench, spec);
    // One that breaks off is full, which is told when it is taken in.
    let (ControlFlow::Continue(()) | ControlFlow::Break(())) =
        pages::each(wire, &Collection::from(&**spec), &mut sweep).await?;
    bench.progress.listed();
    Ok(sweep.haul())
}

fn take_in(all: &mut Haul, troubles: &mut Vec<Trouble>, spec: &WatchSpec, haul: Haul) -> anyhow::Result<()> {
    if let Some((items, first)) = &haul.nameless {
        let resource = &spec.resource.resource;
        troubles.push(Trouble::of_cluster(format!("{items} items of the list of {resource}: {first}")));
    }
    all.absorb(haul);
    if all.is_full() {
        bail!(
            "there are more than {MOST_KEPT} results to keep; narrow the scan by --namespace or -p, or print it as a \
             table, which keeps only what is wrong"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_cannot_lead_to_another_path() {
        assert_eq!(namespace("kube-system").as_deref(), Ok("kube-system"));
        for wrong in ["", "../pods", "a/b", "A", "a?b", &"n".repeat(64)] {
            assert!(namespace(wrong).is_err(), "{wrong}");
        }
    }
}
