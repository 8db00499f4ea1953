//! How a command gets to the sealed database: with its key, and made first if there is none.

use super::context::Context;
use super::error::CliError;
use super::passphrase::{SECRET_LIMIT, read_secret, secret_text};
use crate::config::KeySettings;
use crate::store::{Database, MasterKey, NewKeyFile, Salt, StoreError, create_private_folder};
use secrecy::SecretString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The variable that may hold the master key.
const KEY_VARIABLE: &str = "SECUREMQ_MASTER_KEY";

/// The variable that may hold the one that is to take its place.
const NEW_KEY_VARIABLE: &str = "SECUREMQ_NEW_MASTER_KEY";

/// The systemd credential that may hold it.
const KEY_CREDENTIAL: &str = "securemq-master-key";

/// A database and what had to be made for it.
pub struct Opened {
    /// The database.
    pub database: Database,
    /// Whether it is new.
    pub is_new: bool,
    /// The key file that was made for it.
    pub new_key: Option<PathBuf>,
}

/// The database of the data folder. If there is none it is made, with its key and the built-in roles.
pub async fn open(context: &Context) -> Result<Opened, CliError> {
    let folder = context.data_dir();
    if Database::exists_in(folder) {
        let database = Database::open(folder, &master_key(context).await?).await?;
        return Ok(Opened { database, is_new: false, new_key: None });
    }
    create_private_folder(folder)?;
    let (key, new_key) = key_for_new(&context.config.key, folder)?;
    let database = Database::create(folder, &key).await?;
    Ok(Opened { database, is_new: true, new_key })
}

/// The master key of the database that exists.
pub async fn master_key(context: &Context) -> Result<MasterKey, CliError> {
    let folder = context.data_dir();
    let salt = match (Database::passphrase_salt(folder).await, &context.config.key) {
        (salt, KeySettings::PassphraseFile(_)) => salt?,
        // A damaged database may have none to tell, and a key that is no passphrase needs none.
        (salt, KeySettings::Made | KeySettings::File(_)) => salt.unwrap_or_default(),
    };
    let key = existing_key(&context.config.key, folder, salt)?;
    finish_rotation(&context.config.key, folder, salt, key).await
}

/// A rotation of the master key that a crash ended may have changed the database and not the file yet: then the key that
/// opens is in the file beside it, which takes its place now.
async fn finish_rotation(
    settings: &KeySettings,
    folder: &Path,
    salt: Option<Salt>,
    key: MasterKey,
) -> Result<MasterKey, CliError> {
    let file = file_of(settings, folder);
    let left = NewKeyFile::left_behind(&file).filter(|_| !is_handed_over());
    let Some(left) = left else { return Ok(key) };
    if !matches!(Database::is_opened_by(folder, &key).await, Ok(false)) {
        return Ok(key);
    }
    let new = key_in(settings, &NewKeyFile::beside(&file), salt)?;
    if Database::is_opened_by(folder, &new).await? {
        left.put_in_force()?;
        return Ok(new);
    }
    Ok(key)
}

/// The file that the key is in, or the passphrase that makes it.
pub fn file_of(settings: &KeySettings, folder: &Path) -> PathBuf {
    match settings {
        KeySettings::Made => key_file(folder),
        KeySettings::File(path) | KeySettings::PassphraseFile(path) => path.clone(),
    }
}

/// The key that the environment hands over to take the place of the present one.
pub fn new_key_of_environment() -> Result<MasterKey, CliError> {
    let text = std::env::var(NEW_KEY_VARIABLE).map_err(|_| {
        CliError::failed(
            "the master key is handed over, so the new one has to be, too",
            format_args!("put it into {NEW_KEY_VARIABLE}: make one with `openssl rand -hex 32`"),
        )
    })?;
    Ok(MasterKey::parse(&SecretString::from(text))?)
}

/// Whether the environment or systemd hands the key over.
pub fn is_handed_over() -> bool {
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(KEY_CREDENTIAL));
    std::env::var_os(KEY_VARIABLE).is_some() || credential.is_some_and(|path| path.exists())
}

/// The key that the environment or systemd hands over, before anything that is configured.
fn handed_over() -> Result<Option<MasterKey>, CliError> {
    if let Some(text) = std::env::var_os(KEY_VARIABLE) {
        let text = text.into_string().map_err(|_| StoreError::KeyTextInvalid)?;
        return Ok(Some(MasterKey::parse(&SecretString::from(text))?));
    }
    if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        let path = Path::new(&folder).join(KEY_CREDENTIAL);
        if path.exists() {
            return Ok(Some(MasterKey::parse(&read_credential(&path)?)?));
        }
    }
    Ok(None)
}

/// The configured key, for a database with this salt.
pub fn existing_key(settings: &KeySettings, folder: &Path, salt: Option<Salt>) -> Result<MasterKey, CliError> {
    if let Some(key) = handed_over()? {
        return Ok(key);
    }
    key_in(settings, &file_of(settings, folder), salt)
}

/// The key in a file of the configured kind, for a database with this salt.
fn key_in(settings: &KeySettings, file: &Path, salt: Option<Salt>) -> Result<MasterKey, CliError> {
    Ok(match settings {
        KeySettings::Made | KeySettings::File(_) => MasterKey::load(file)?,
        KeySettings::PassphraseFile(_) => {
            let salt = salt.ok_or_else(|| {
                CliError::failed(
                    "the database was made with a key and not with a passphrase",
                    "remove key.passphrase_file from the configuration, or name the key with key.file",
                )
            })?;
            MasterKey::from_passphrase(&read_secret(file)?, salt)?
        }
    })
}

/// The key of a database that is about to be made or restored, and the file it was put into if it is new, too.
pub fn key_for_new(settings: &KeySettings, folder: &Path) -> Result<(MasterKey, Option<PathBuf>), CliError> {
    if let Some(key) = handed_over()? {
        return Ok((key, None));
    }
    match settings {
        KeySettings::Made => made_key(key_file(folder)),
        KeySettings::File(path) => made_key(path.clone()),
        KeySettings::PassphraseFile(path) => {
            Ok((MasterKey::from_passphrase(&read_secret(path)?, Salt::generate()?)?, None))
        }
    }
}

/// A key file that is there without its database belongs to one that was moved away, or is being put in place.
fn made_key(path: PathBuf) -> Result<(MasterKey, Option<PathBuf>), CliError> {
    if path.exists() {
        return Ok((MasterKey::load(&path)?, None));
    }
    Ok((MasterKey::create(&path)?, Some(path)))
}

fn key_file(folder: &Path) -> PathBuf {
    folder.join("master.key")
}

/// systemd keeps its folder of credentials for the service alone. The file may belong to root there and be opened to
/// this user by an access list, which reads as mode 0440: the rules of [`PrivateFile`] are not for it.
fn read_credential(path: &Path) -> Result<SecretString, CliError> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).and_then(|file| file.take(SECRET_LIMIT).read_to_end(&mut bytes)).map_err(|error| {
        CliError::failed(
            format_args!("the credential {} cannot be read: {error}", path.display()),
            format_args!("hand it over with LoadCredential={KEY_CREDENTIAL}:FILE in the unit of the service"),
        )
    })?;
    secret_text(path, &bytes)
}
