//! Named files of an image: in a folder, in a tar, which may itself be compressed, or on a registry.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jettison_image::tar::{Member, MemberType, Reader, TarError, TarErrorKind};
use jettison_image::{Compression, Descriptor, Digest, Limits};

use crate::blob::Blob;
use crate::decompress;
use crate::error::{Error, Result};
use crate::open::blob_name;
use crate::registry::{Fetched, Remote};
use crate::section::Section;

/// The files that an image consists of.
#[derive(Debug)]
pub(crate) struct Archive {
    path: PathBuf,
    files: Files,
    /// Blobs that lie elsewhere.
    elsewhere: HashMap<Digest, Blob>,
}

#[derive(Debug)]
enum Files {
    Folder,
    Tar {
        whole: Section,
        members: HashMap<String, Place>,
    },
    /// No named files, but what descriptors name; the first document is at hand.
    Registry {
        remote: Remote,
        top: (Digest, Vec<u8>),
    },
}

/// The most bytes of a document: the registries' limit for manifests (distribution-spec, 4 MiB), with room for large
/// configs.
const MOST: u64 = 64 << 20;

#[derive(Clone, Debug)]
enum Place {
    File {
        offset: u64,
        length: u64,
    },
    /// Old engines list a layer that another image also has as a symbolic link to it.
    Link(String),
}

impl Archive {
    pub(crate) fn open(path: &Path, limits: Limits) -> Result<Self> {
        let file = if path == Path::new("-") { standard_input() } else { File::open(path) };
        let file = file.map_err(Error::io("open", path))?;
        let is_folder = file.metadata().map_err(Error::io("read", path))?.is_dir();
        if is_folder {
            Ok(Self { path: path.to_owned(), files: Files::Folder, elsewhere: HashMap::new() })
        } else {
            Self::of_file(path, file, limits)
        }
    }

    /// An archive in a file that is open already: one without a name, or not renamed into place yet.
    pub(crate) fn of_file(path: &Path, file: File, limits: Limits) -> Result<Self> {
        let whole = unpacked(path, file, limits)?;
        let members = members(path, &whole)?;
        Ok(Self { path: path.to_owned(), files: Files::Tar { whole, members }, elsewhere: HashMap::new() })
    }

    /// An image on a registry, of which `top` is the manifest or index. `path` is for messages.
    pub(crate) fn of_registry(path: PathBuf, remote: Remote, top: &Fetched) -> Self {
        let top = (top.descriptor().digest, top.bytes.clone());
        Self { path, files: Files::Registry { remote, top }, elsewhere: HashMap::new() }
    }

    /// The same with blobs that it does not hold itself.
    pub(crate) fn with(self, elsewhere: HashMap<Digest, Blob>) -> Self {
        Self { elsewhere, ..self }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        match &self.files {
            Files::Folder => self.path.join(name).is_file(),
            Files::Tar { members, .. } => members.contains_key(name),
            Files::Registry { .. } => false,
        }
    }

    /// Whether the blob that a descriptor names is at hand, as far as that can be told without asking a registry.
    pub(crate) fn holds(&self, descriptor: &Descriptor) -> bool {
        let is_registry = matches!(self.files, Files::Registry { .. });
        is_registry || self.elsewhere.contains_key(&descriptor.digest) || self.has(&blob_name(descriptor.digest))
    }

    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.files, Files::Folder)
    }

    /// One of the files.
    pub(crate) fn section(&self, name: &str) -> Result<Section> {
        let missing = || Error::Missing { path: self.path.clone(), name: name.to_owned() };
        match &self.files {
            Files::Folder => {
                let path = self.path.join(name);
                let file = File::open(&path).map_err(|source| match source.kind() {
                    std::io::ErrorKind::NotFound => missing(),
                    _ => Error::io("open", &path)(source),
                })?;
                Section::whole(file).map_err(Error::io("read", &path))
            }
            Files::Tar { whole, members } => {
                let mut name = clean(name);
                // A chain of links is no longer than the archive has members.
                for _ in 0..=members.len() {
                    match members.get(&name) {
                        None => return Err(missing()),
                        Some(Place::File { offset, length }) => return Ok(whole.part(*offset, *length)),
                        Some(Place::Link(target)) => name.clone_from(target),
                    }
                }
                Err(missing())
            }
            Files::Registry { .. } => Err(missing()),
        }
    }

    /// The repository that it lies in.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        match &self.files {
            Files::Registry { remote, .. } => Some(remote),
            _ => None,
        }
    }

    /// The blob that a descriptor names.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        if let Some(blob) = self.elsewhere.get(&descriptor.digest) {
            return Ok(blob.clone());
        }
        match &self.files {
            Files::Registry { remote, .. } => Ok(Blob::There(remote.blob(descriptor))),
            _ => self.section(&blob_name(descriptor.digest)).map(Blob::Here),
        }
    }

    /// The bytes of a manifest, config or index that a descriptor names.
    pub(crate) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        match &self.files {
            Files::Registry { top: (digest, bytes), .. } if *digest == descriptor.digest => Ok(bytes.clone()),
            Files::Registry { remote, .. } => Ok(remote.document(descriptor, MOST).map_err(Box::new)?),
            _ => self.bytes(&blob_name(descriptor.digest)),
        }
    }

    /// The same, checked against the descriptor.
    pub(crate) fn checked_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let bytes = self.document(descriptor)?;
        let (path, name, got) = (self.path.clone(), blob_name(descriptor.digest), Digest::of(&bytes));
        if got != descriptor.digest {
            return Err(Error::Digest { path, name, expected: descriptor.digest, got });
        }
        let (expected, got) = (descriptor.size, bytes.len() as u64);
        if got != expected {
            return Err(Error::Size { path, name, expected, got });
        }
        Ok(bytes)
    }

    /// The bytes of a small file: manifests, configs, indexes.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let section = self.section(name)?;
        if section.length() > MOST {
            let reason = format!("{name} has {} bytes, more than a manifest or config may have", section.length());
            return Err(Error::NotAnImage { path: self.path.clone(), reason });
        }
        section.bytes().map_err(Error::io("read", &self.path))
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.bytes(name)?).map_err(|source| Error::Json {
            path: self.path.clone(),
            name: name.to_owned(),
            source,
        })
    }
}

/// What a pipe such as `docker save` gives, in a temporary file: an archive's list of contents may be its
/// last member.
fn standard_input() -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    std::io::copy(&mut std::io::stdin().lock(), &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// The archive itself, or what a compressed one unpacks to, in a temporary file that has no name.
fn unpacked(path: &Path, mut file: File, limits: Limits) -> Result<Section> {
    let read = Error::io("read", path);
    let mut first = Vec::new();
    if let Err(source) = (&mut file).take(512).read_to_end(&mut first).and_then(|_| file.seek(SeekFrom::Start(0))) {
        return Err(read(source));
    }
    let compression = Compression::of_magic(&first);
    if compression == Compression::None {
        return Section::whole(file).map_err(read);
    }
    let decoder = decompress::decoder(BufReader::with_capacity(1 << 18, file), compression).map_err(read)?;
    let mut decoder = decoder.take(limits.layer_bytes.saturating_add(1));
    let folder = std::env::temp_dir();
    let mut plain = tempfile::tempfile().map_err(Error::io("make a temporary file in", &folder))?;
    let unpacked = std::io::copy(&mut decoder, &mut plain).map_err(Error::io("unpack", path))?;
    if unpacked > limits.layer_bytes {
        return Err(Error::TooLarge { path: path.to_owned(), limit: limits.layer_bytes });
    }
    Section::whole(plain).map_err(Error::io("read", &folder))
}

/// Finds the members by their headers alone.
fn members(path: &Path, whole: &Section) -> Result<HashMap<String, Place>> {
    let damaged = |member: &Member, source| {
        let entry = String::from_utf8_lossy(&member.path).into_owned();
        Error::Archive { path: path.to_owned(), entry, source }
    };
    let mut members = HashMap::new();
    let mut position = 0;
    let mut member = Member::default();
    while position < whole.length() {
        let rest = whole.part(position, u64::MAX);
        let mut input = BufReader::with_capacity(4096, rest.reader());
        if input.fill_buf().map_err(Error::io("read", path))?.is_empty() {
            break;
        }
        let mut reader = Reader::new(input);
        match reader.next(&mut member) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) if position == 0 => {
                return Err(Error::NotAnImage { path: path.to_owned(), reason: "it is no tar".to_owned() });
            }
            Err(TarError { offset, kind }) => {
                return Err(damaged(&member, TarError { offset: offset + position, kind }));
            }
        }
        let offset = position + member.data_offset;
        // A header may state any size, also one that no sum can hold.
        if member.stored > whole.length().saturating_sub(offset) {
            return Err(damaged(&member, TarError { offset: whole.length(), kind: TarErrorKind::Truncated }));
        }
        let name = clean(&String::from_utf8_lossy(&member.path));
        match member.member_type {
            MemberType::File => {
                members.insert(name, Place::File { offset, length: member.stored });
            }
            MemberType::Symlink | MemberType::HardLink => {
                let target = String::from_utf8_lossy(&member.link).into_owned();
                let folder = match (member.member_type, name.rsplit_once('/')) {
                    (MemberType::Symlink, Some((folder, _))) if !target.starts_with('/') => folder,
                    _ => "",
                };
                members.insert(name.clone(), Place::Link(clean(&format!("{folder}/{target}"))));
            }
            _ => {}
        }
        position = (offset + member.stored).next_multiple_of(512);
    }
    Ok(members)
}

fn clean(name: &str) -> String {
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
