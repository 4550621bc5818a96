//! A real control plane on this machine: to play with (`make cluster`), or with the operator at work (`make demo`).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]

mod demo;

#[allow(dead_code, unused_imports, reason = "the harness is shared with the tests; each needs a part of it")]
#[path = "../harness/mod.rs"]
mod harness;

use std::process::ExitCode;

use anyhow::{Result, bail};

use harness::operator::INSTALL;
use harness::{ControlPlane, Helm};

#[tokio::main]
async fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("devcluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Option<&str>) -> Result<()> {
    match command {
        Some("up") => up().await,
        Some("demo") => demo::run().await,
        _ => bail!("usage: devcluster up | demo"),
    }
}

async fn up() -> Result<()> {
    section("Control plane");
    let plane = ControlPlane::start().await?;
    println!("It is ready; it has no nodes, so that Pods are made and never run. In another terminal:\n");
    how_to_look_around(&plane).await?;
    println!("  $HELM {}", INSTALL.join(" "));
    println!("  target/debug/watchpolicy run --listen 127.0.0.1:8080 --log-format text");
    println!("  $KUBECTL apply -f examples/ -f examples/demo/workloads.yaml");
    println!("  $KUBECTL get wpol");
    until_interrupted().await
}

/// Ctrl-C before this point needs no handler: what was started ends with this process.
async fn until_interrupted() -> Result<()> {
    println!("\nCtrl-C stops everything and removes its data.");
    tokio::signal::ctrl_c().await?;
    println!();
    Ok(())
}

async fn how_to_look_around(plane: &ControlPlane) -> Result<()> {
    let helm = Helm::with(plane.access().admin_kubeconfig()).await?;
    println!("  export KUBECONFIG={}", plane.access().admin_kubeconfig().display());
    println!("  KUBECTL={}", plane.kubectl().program().display());
    println!("  HELM={}", helm.program().display());
    Ok(())
}

fn section(title: &str) {
    println!("\n== {title}");
}
