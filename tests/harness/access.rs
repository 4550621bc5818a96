//! Who may talk to the API server, and as whom: kubeconfig files and clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use pem::Pem;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

/// Tokens of ServiceAccounts last as long as any test run or an afternoon with the demo.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Where the API server is, and the kubeconfig files that lead to it.
#[derive(Debug)]
pub(crate) struct Access {
    folder: PathBuf,
    port: u16,
    admin: PathBuf,
}

impl Access {
    /// Writes what the API server needs to know its callers, and the kubeconfig files of those that are known
    /// from the start: `admin` and `controllers`.
    pub(crate) fn new(folder: &Path, port: u16) -> Result<Self> {
        let mut access = Self { folder: folder.to_owned(), port, admin: PathBuf::new() };
        let (admin, controllers) = (random_token()?, random_token()?);
        let known = format!(
            "{admin},admin,admin,\"system:masters\"\n\
             {controllers},system:kube-controller-manager,controllers,\"system:masters\"\n"
        );
        std::fs::write(access.tokens_file(), known)?;
        let [private, public] = signing_key()?;
        std::fs::write(access.signing_key_file(), private)?;
        std::fs::write(access.verifying_key_file(), public)?;
        access.admin = access.write_kubeconfig("admin", &admin)?;
        access.write_kubeconfig("controllers", &controllers)?;
        Ok(access)
    }

    /// Tokens of the users that are known from the start (`--token-auth-file`).
    pub(crate) fn tokens_file(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    /// The private key that signs tokens of ServiceAccounts.
    pub(crate) fn signing_key_file(&self) -> PathBuf {
        self.folder.join("service-accounts.key")
    }

    /// The public key that proves them.
    pub(crate) fn verifying_key_file(&self) -> PathBuf {
        self.folder.join("service-accounts.pub")
    }

    /// Where the API server puts its own certificate and key.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.folder.join("certificates")
    }

    /// The API server's certificate, with that of the authority that signed it.
    pub(crate) fn authority_file(&self) -> PathBuf {
        self.certificates().join("apiserver.crt")
    }

    /// The address that clients use.
    pub(crate) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The kubeconfig file of a member of `system:masters`.
    pub(crate) fn admin_kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// The kubeconfig file of the controller manager, a member of `system:masters`.
    pub(crate) fn controllers_kubeconfig(&self) -> PathBuf {
        self.kubeconfig_file("controllers")
    }

    /// A client that may do everything. It lives in the runtime of its caller: each test makes its own.
    pub(crate) async fn admin(&self) -> Result<Client> {
        client(&self.admin).await
    }

    /// A client that may do what the ServiceAccount, which must exist, may do.
    pub(crate) async fn service_account(&self, namespace: &str, name: &str) -> Result<Client> {
        client(&self.service_account_kubeconfig(namespace, name).await?).await
    }

    /// A kubeconfig file with a fresh token of the ServiceAccount, which must exist.
    pub(crate) async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let lifetime = i64::try_from(TOKEN_LIFETIME.as_secs())?;
        let spec = TokenRequestSpec { expiration_seconds: Some(lifetime), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let token = Api::<ServiceAccount>::namespaced(self.admin().await?, namespace)
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for the ServiceAccount {namespace}/{name}"))?
            .status
            .and_then(|status| status.token)
            .context("the answer to a TokenRequest has no token")?;
        self.write_kubeconfig(&format!("{namespace}.{name}"), &token)
    }

    fn kubeconfig_file(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.kubeconfig"))
    }

    /// JSON is YAML, so kubectl reads it too.
    fn write_kubeconfig(&self, user: &str, token: &str) -> Result<PathBuf> {
        let cluster = json!({"server": self.server(), "certificate-authority": self.authority_file()});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "watchpolicy", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": user, "context": {"cluster": "watchpolicy", "user": user}}],
            "current-context": user,
        });
        let path = self.kubeconfig_file(user);
        // Renamed into place, since another test may be reading the file of the same ServiceAccount.
        let part = path.with_extension(format!("{}.part", random_token()?));
        std::fs::write(&part, serde_json::to_vec_pretty(&config)?)?;
        std::fs::rename(&part, &path)?;
        Ok(path)
    }
}

/// A client as a kubeconfig file describes it.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).ok().context("no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What stands before the point in the `SubjectPublicKeyInfo` of every P-256 key (RFC 5480).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A new P-256 key in PEM: the private key as PKCS #8, and the public one.
fn signing_key() -> Result<[String; 2]> {
    let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).ok().context("cannot make a key")?;
    let pair =
        EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random).ok().context("cannot read it")?;
    let public = [&P256_INFO, pair.public_key().as_ref()].concat();
    let private = Pem::new("PRIVATE KEY", private.as_ref());
    Ok([pem::encode(&private), pem::encode(&Pem::new("PUBLIC KEY", public))])
}
