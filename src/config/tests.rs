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
    assert!(!config.allow_system_namespaces && !config.log_verdicts);
    assert!(config.serving.violations && !config.serving.metrics_auth && config.serving.tls.is_none());
    let EnforcementConfig { allow, allow_fix_of, write_qps } = config.enforcement;
    assert_eq!((allow, allow_fix_of.len(), write_qps.get()), (false, 0, 10));
    let election = config.election.unwrap();
    let times = [election.lease_duration, election.renew_deadline, election.retry_period];
    assert_eq!((&*election.lease_name, times.map(|time| time.as_secs())), ("watchpolicy", [15, 10, 2]));
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let both = config(&["--tls-cert-file", "tls.crt", "--tls-key-file", "tls.key"]).unwrap().serving.tls;
    assert_eq!(both, Some(("tls.crt".into(), "tls.key".into())));
    let error = config(&["--tls-cert-file", "tls.crt"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "--tls-cert-file is tls.crt: a certificate and its key go together; give --tls-key-file too"
    );
    assert!(config(&["--tls-key-file", "tls.key"]).unwrap_err().to_string().contains("--tls-cert-file too"));
}

#[test]
fn the_own_namespace_is_taken_from_the_nearest_place_that_says_it() {
    let around = |pod: Option<&str>, account: Option<&str>| Surroundings {
        cores: None,
        pod_namespace: pod.map(str::to_owned),
        account_namespace: account.map(str::to_owned),
        ..Surroundings::default()
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
        (["--retry-period", "6s"], "--retry-period is 6s: a failed renewal must be tried again in time"),
        (["--renew-deadline", "15s"], "--renew-deadline is 15s: a leader must stop before others begin"),
        (["--lease-duration", "10s"], "--renew-deadline is 10s: a leader must stop before others begin"),
        (["--lease-duration", "10m"], "--lease-duration is 600s: a lease has whole seconds, 2s to 300s"),
        (["--lease-duration", "12500ms"], "--lease-duration is 12.5s: a lease has whole seconds"),
        (["--lease-name", "Lease"], "--lease-name is \"Lease\": a Lease's name has"),
        (["--identity", "a b"], "--identity is \"a b\": a name has 1 to 200"),
        (["--allow-fix-of", "secrets,Roles"], "--allow-fix-of is \"Roles\": name kinds as secrets"),
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
        (["--write-qps", "0"], "--write-qps <N>"),
        (["--workers", "0"], "--workers <N>"),
        (["--listen", "8080"], "--listen <ADDRESS>"),
        (["--listen", "8080"], "write it as 0.0.0.0:8080"),
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

#[test]
fn a_replica_has_a_name_that_its_predecessor_in_the_same_pod_had_not() {
    let name = |written: &[&str], host: Option<&str>, suffix| {
        let around = Surroundings { host: host.map(str::to_owned), suffix, ..Surroundings::default() };
        Config::new(flags(written).unwrap(), around).unwrap().identity.to_string()
    };
    assert_eq!(name(&[], Some("watchpolicy-0\n"), 0xbeef), "watchpolicy-0_0000beef");
    assert_eq!(name(&[], Some("a name"), 1), "watchpolicy_00000001");
    assert_eq!(name(&[], None, 1), "watchpolicy_00000001");
    assert_eq!(name(&["--identity", "one"], Some("host"), 1), "one");
}

#[test]
fn election_can_be_switched_off() {
    for written in [&["--leader-elect"][..], &["--leader-elect=true"], &[]] {
        assert!(config(written).unwrap().election.is_some(), "{written:?}");
    }
    assert_eq!(config(&["--leader-elect=false"]).unwrap().election, None);
}

#[test]
fn limits_that_leave_no_room_are_refused() {
    let LimitsConfig {
        objects,
        bytes,
        total_bytes,
        verdict_bytes,
        document_bytes,
        targets,
        namespaced_watches,
    } = config(&[]).unwrap().limits;
    assert_eq!((objects, targets, namespaced_watches), (150_000, 200, 256));
    assert_eq!(
        (bytes, total_bytes, document_bytes, verdict_bytes),
        (96 << 20, 192 << 20, 256 << 10, 64 << 20)
    );
    for (written, named) in [
        (["--max-targets", "0"], "at least 1"),
        (["--max-document-bytes", "1Ki"], "at least 4096"),
        (["--max-bytes-per-target", "100Ki"], "smaller than --max-document-bytes"),
        (["--max-cached-bytes", "1Mi"], "smaller than --max-bytes-per-target"),
    ] {
        let error = config(&written).unwrap_err().to_string();
        assert!(error.contains(written[0]) && error.contains(named), "{error}");
    }
    assert!(flags(&["--max-cached-bytes", "1.5Gi"]).is_err());
}

#[test]
fn what_is_told_has_defaults_and_no_events_are_none_on_objects_either() {
    let told = |written: &[&str]| {
        let reporting = config(written).unwrap().reporting;
        (reporting.events, reporting.reports, reporting.report_qps.get())
    };
    assert_eq!(told(&[]), (Events::OnPolicies, Reports::Failures, 20));
    assert_eq!(told(&["--events-on-resources", "--reports=All"]), (Events::OnResources, Reports::All, 20));
    let off = ["--events=false", "--reports", "none", "--report-qps", "5"];
    assert_eq!(told(&off), (Events::Off, Reports::None, 5));
    let error = config(&["--events=false", "--events-on-resources"]).unwrap_err().to_string();
    assert!(error.contains("--events-on-resources") && error.contains("leave one"), "{error}");
    assert!(flags(&["--report-qps", "0"]).is_err() && flags(&["--reports", "some"]).is_err());
}
