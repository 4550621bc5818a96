use clap::{Args, Command, FromArgMatches};

use super::*;

fn flags(written: &[&str]) -> Result<RunFlags, clap::Error> {
    let command = RunFlags::augment_args(Command::new("run").no_binary_name(true));
    RunFlags::from_arg_matches(&command.try_get_matches_from(written)?)
}

fn config(written: &[&str]) -> Result<Config, ConfigError> {
    Config::new(flags(written).unwrap(), Surroundings::default())
}

#[test]
fn without_flags_the_defaults_are_those_of_the_reference() {
    let four_cores = Surroundings { cores: NonZeroUsize::new(4), ..Surroundings::default() };
    let config = Config::new(flags(&[]).unwrap(), four_cores).unwrap();
    assert_eq!(config.workers.get(), 4);
    assert_eq!(config.listen, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(config.status_interval, Duration::from_secs(5));
    assert_eq!(config.watch.page_size, 500);
    assert_eq!(config.watch.liveness, Duration::from_secs(120));
    assert_eq!(config.log, LogConfig { format: LogFormat::Json, level: "info".to_owned() });
    assert!(!config.allow_system_namespaces);
}

#[test]
fn the_own_namespace_is_taken_from_the_nearest_place_that_says_it() {
    let around = |pod: Option<&str>, account: Option<&str>| Surroundings {
        cores: None,
        pod_namespace: pod.map(str::to_owned),
        account_namespace: account.map(str::to_owned),
    };
    for (written, surroundings, namespace) in [
        (&["--namespace", "flag"][..], around(Some("pod"), Some("account")), "flag"),
        (&[], around(Some("pod"), Some("account")), "pod"),
        (&[], around(Some(""), Some("account\n")), "account"),
        (&[], around(None, None), "watchpolicy-system"),
    ] {
        assert_eq!(&*Config::new(flags(written).unwrap(), surroundings).unwrap().namespace, namespace);
    }
}

#[test]
fn the_own_namespace_is_always_a_system_namespace() {
    let names = |written: &[&str]| {
        let config = config(written).unwrap();
        config.system_namespaces.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["kube-node-lease", "kube-public", "kube-system", "watchpolicy-system"]);
    assert_eq!(names(&["--system-namespaces", "infra,own", "--namespace", "own"]), ["infra", "own"]);
    assert_eq!(names(&["--system-namespaces", ""]), ["watchpolicy-system"]);
}

#[test]
fn a_value_that_cannot_work_is_refused_with_its_flag_and_what_to_do() {
    for (written, error) in [
        (["--page-size", "0"], "--page-size is 0: a page has 1 to 10000 objects"),
        (["--watch-liveness", "10ms"], "--watch-liveness is 10ms: too short to work with; give at least 90s"),
        (["--status-interval", "0"], "--status-interval is 0ns: too short"),
        (["--namespace", "Not_A_Name"], "--namespace is \"Not_A_Name\": a namespace has 1 to 63"),
        (["--system-namespaces", "a,-b"], "--system-namespaces is \"-b\": a namespace has"),
    ] {
        let refused = config(&written).unwrap_err().to_string();
        assert!(refused.starts_with(error), "{refused}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_refused_by_name() {
    for (written, error) in [
        (["--watch-linger", "soon"], "write it as 60s"),
        (["--workers", "0"], "--workers <N>"),
        (["--listen", "8080"], "--listen <ADDRESS>"),
        (["--log-format", "xml"], "json, text"),
    ] {
        let refused = flags(&written).unwrap_err().to_string();
        assert!(refused.contains(error), "{refused}");
    }
}

#[test]
fn every_flag_has_an_environment_twin_of_its_name() {
    let command = RunFlags::augment_args(Command::new("run"));
    let flags: Vec<_> = command.get_arguments().collect();
    assert!(flags.len() > 10);
    for flag in flags {
        let twin = format!("WATCHPOLICY_{}", flag.get_id().as_str().to_uppercase());
        assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(twin.as_str()));
    }
}
