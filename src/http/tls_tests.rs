use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

const ONE: (&str, &str) = (include_str!("testdata/one.crt"), include_str!("testdata/one.key"));
const TWO: (&str, &str) = (include_str!("testdata/two.crt"), include_str!("testdata/two.key"));

const BROKEN: &str = "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n";

/// Two files of a test's own.
fn files_of(test: &str, (certificate, key): (&str, &str)) -> (PathBuf, PathBuf) {
    let folder = std::env::temp_dir().join(format!("watchpolicy-tls-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let paths = (folder.join("tls.crt"), folder.join("tls.key"));
    write(&paths, (certificate, key));
    paths
}

fn write(paths: &(PathBuf, PathBuf), (certificate, key): (&str, &str)) {
    std::fs::write(&paths.0, certificate).unwrap();
    std::fs::write(&paths.1, key).unwrap();
}

/// Whether a client who trusts a certificate alone gets through.
async fn is_trusted(tls: &Tls, certificate: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (client, server) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let (_served, asked) = tokio::join!(tls.acceptor().accept(server), connector.connect(name, client));
    asked.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_changed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let paths = files_of("changed", ONE);
    let tls = Tls::load(&paths.0, &paths.1).unwrap();
    assert!(is_trusted(&tls, ONE.0).await);
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(tls.clone().follow(stop.clone()));
    for (written, trusted) in [((TWO.0, ONE.1), ONE.0), (TWO, TWO.0), (("", ""), TWO.0), (ONE, ONE.0)] {
        write(&paths, written);
        tokio::time::sleep(LOOK * 2).await;
        assert!(is_trusted(&tls, trusted).await);
    }
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
}

#[test]
fn files_that_cannot_be_used_are_refused_without_a_word_of_the_key() {
    for (test, written, words) in [
        ("empty", ("", ONE.1), "there is no certificate"),
        ("no-key", (ONE.0, "s3cret"), "no private key"),
        ("broken-key", (ONE.0, BROKEN), "cannot be used together"),
        ("swapped", (ONE.1, ONE.0), "there is no certificate"),
        ("mixed", (ONE.0, TWO.1), "cannot be used together"),
    ] {
        let paths = files_of(test, written);
        let error = Tls::load(&paths.0, &paths.1).err().map(|error| format!("{error:#}")).unwrap();
        assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
    }
    let error = Tls::load(Path::new("/nowhere/tls.crt"), Path::new("/nowhere/tls.key")).err().unwrap();
    assert!(format!("{error:#}").contains("/nowhere/tls.crt"));
}
