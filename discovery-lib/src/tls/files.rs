//! The bytes of the certificates and the key, as they are on disk now. Whether they can be used, `config` decides.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{ClientCertificate, Tls};
use crate::error::{Error, Kind};

/// The largest file that is read: the authorities of a system are some 250 KB.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The most files of a directory of authorities, and its deepest subdirectory.
const CA_FILES_MAX: usize = 1024;
const CA_DEPTH_MAX: usize = 8;

/// What all files hold. Not `Debug`: it has a private key.
#[derive(PartialEq, Eq)]
pub(super) struct Files {
    /// Empty: the system's authorities.
    pub(super) authorities: Vec<Pem>,
    pub(super) client: Option<(Pem, Pem)>,
}

/// A file, what it is for, and what it holds.
#[derive(PartialEq, Eq)]
pub(super) struct Pem {
    role: &'static str,
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Files {
    /// Blocks the thread.
    ///
    /// # Errors
    /// A file can't be read, is empty or too long, or the directory has none.
    pub(super) fn read(tls: &Tls) -> Result<Self, Error> {
        let authorities = match (&tls.ca_file, &tls.ca_path) {
            (Some(file), _) => vec![Pem::read("CA file", file)?],
            (None, Some(directory)) => authorities(directory)?,
            (None, None) => Vec::new(),
        };
        let client = tls.client.as_ref().map(|ClientCertificate { cert, key }| {
            Ok((Pem::read("client certificate", cert)?, Pem::read("client key", key)?))
        });
        Ok(Self { authorities, client: client.transpose()? })
    }
}

#[cfg(test)]
impl Files {
    pub(super) fn none() -> Self {
        Self { authorities: Vec::new(), client: None }
    }

    pub(super) fn of_client(cert: &[u8], key: &[u8]) -> Self {
        let pem = |bytes: &[u8]| Pem { role: "", path: PathBuf::new(), bytes: bytes.to_vec() };
        Self { client: Some((pem(cert), pem(key))), ..Self::none() }
    }
}

impl Pem {
    fn read(role: &'static str, path: &Path) -> Result<Self, Error> {
        let mut pem = Self { role, path: path.to_owned(), bytes: Vec::new() };
        let mut read =
            || fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut pem.bytes);
        let length = read().map_err(|err| unreadable(role, path, &err))?;
        match length as u64 {
            0 => Err(pem.wrong("is empty: it must have PEM blocks")),
            length if length > FILE_BYTES_MAX => {
                Err(pem.wrong(&format!("is longer than the limit of {} MiB", FILE_BYTES_MAX >> 20)))
            }
            _ => Ok(pem),
        }
    }

    /// An error about this file.
    pub(super) fn wrong(&self, what: &str) -> Error {
        wrong(self.role, &self.path, what)
    }
}

fn wrong(role: &str, path: &Path, what: &str) -> Error {
    Error::new(Kind::Setting, format!("the {role} {} {what}", path.display()))
}

fn unreadable(role: &str, path: &Path, err: &io::Error) -> Error {
    wrong(role, path, &format!("can't be read: {err}"))
}

/// All files of a directory, in the order of their names.
fn authorities(directory: &Path) -> Result<Vec<Pem>, Error> {
    let mut paths = Vec::new();
    walk(directory, CA_DEPTH_MAX, &mut paths)
        .map_err(|err| unreadable("directory of CA files", directory, &err))?;
    if paths.is_empty() {
        return Err(wrong("directory of CA files", directory, "has no file"));
    }
    paths.sort();
    paths.iter().map(|path| Pem::read("CA file", path)).collect()
}

fn walk(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A mounted secret of Kubernetes is a link to a file in `..data`, which is a link to another hidden directory.
        if entry.file_name().as_encoded_bytes().starts_with(b"..") {
            continue;
        }
        let path = entry.path();
        if fs::metadata(&path)?.is_dir() {
            if depth == 0 {
                return Err(io::Error::other("its subdirectories are nested too deeply"));
            }
            walk(&path, depth - 1, found)?;
        } else if found.len() < CA_FILES_MAX {
            found.push(path);
        } else {
            return Err(io::Error::other(format!("it has more than {CA_FILES_MAX} files")));
        }
    }
    Ok(())
}
