//! OPEN (RFC 8881 §18.16).

use std::sync::Arc;

use bytes::Bytes;
use engine::{
    Access, Attributes, Authority, CreateMode, CreateOutcome, DirectoryChange, Entry, FileKind, SetAttributes,
};

use super::open_arguments::{Claim, CreateHow, CreateWay, OpenArguments, Want};
use super::{Failure, OpResult, encode_change};
use crate::nfs4::attributes::{Attribute, Bitmap, DecodedAttributes, decode_settable};
use crate::nfs4::compound::Compound;
use crate::nfs4::state::{Client, Opening, Share, Stateid};
use crate::nfs4::status::Status;
use crate::xdr::Writer;

/// What is found or made under a name or handle.
struct Target {
    attributes: Attributes,
    change: DirectoryChange,
    /// What was set on it.
    set: Bitmap,
    /// Whether this call made it, so that its mode does not count for this open.
    origin: CreateOutcome,
    /// Whether it is to be truncated once it is open.
    truncate: bool,
}

impl Compound<'_> {
    pub(super) async fn open(&mut self, out: &mut Writer) -> OpResult {
        let args = OpenArguments::decode(&mut self.args)?;
        let client = self.client()?;
        self.current()?;
        match args.claim {
            Claim::Delegation => return Err(Status::RECLAIM_BAD.into()),
            Claim::Previous => self.service.check_reclaim(&client)?,
            Claim::Name(_) | Claim::Handle => self.service.check_no_grace(&client)?,
        }
        if args.share.access & SHARE_WRITE != 0 || args.create.is_some() {
            self.check_writable()?;
        }
        let mut target = self.target(&args).await?;
        check_kind(target.attributes.kind)?;
        if target.origin == CreateOutcome::Existed {
            self.check_open(&target, &args)?;
        }
        let opening = Opening { client: Arc::clone(&client), owner: args.owner.clone(), share: args.share };
        let stateid = self.grant(&target.attributes, &opening).await?;
        if target.truncate {
            self.truncate(&mut target).await?;
        }
        self.set_current(target.attributes.clone());
        if target.truncate {
            self.touched();
        }
        self.set_stateid(stateid);
        stateid.encode(out);
        encode_change(out, target.change);
        out.u32(RESULT_LOCKTYPE_POSIX | RESULT_PRESERVE_UNLINKED);
        target.set.encode(out);
        encode_no_delegation(out, args.wants);
        Ok(())
    }

    async fn target(&mut self, args: &OpenArguments) -> Result<Target, Failure> {
        match (&args.claim, &args.create) {
            (Claim::Name(name), Some(how)) => self.create_target(name, how).await,
            (Claim::Name(name), None) => self.find(name),
            (_, Some(_)) => Err(Status::INVAL.into()),
            (_, None) => {
                let attributes = self.attributes()?;
                let change = unchanged(attributes.change);
                Ok(Target::existing(attributes, change))
            }
        }
    }

    fn find(&self, name: &Bytes) -> Result<Target, Failure> {
        let directory = self.directory()?;
        let found = self.file_system().lookup(&self.who, Entry { directory, name })?;
        let change = self.file_system().attributes(directory)?.change;
        Ok(Target::existing(found, unchanged(change)))
    }

    async fn create_target(&mut self, name: &Bytes, how: &CreateHow) -> Result<Target, Failure> {
        let directory = self.directory()?;
        let (bitmap, values) = how.attributes.clone();
        let DecodedAttributes { set, bitmap } = decode_settable(bitmap, values)?;
        if how.way != CreateWay::Unchecked {
            let mode = match how.way {
                CreateWay::Exclusive(verifier) => CreateMode::Exclusive(verifier),
                CreateWay::Guarded | CreateWay::Unchecked => CreateMode::Guarded,
            };
            return self.make(Entry { directory, name }, mode, &set, bitmap).await;
        }
        // A file that is there is opened first and truncated then: others may deny it.
        let truncate = set.size == Some(0);
        let found = match self.find(name) {
            Err(failure) if failure.status == Status::NOENT => {
                let set = SetAttributes { size: set.size.filter(|size| *size > 0), ..set };
                self.make(Entry { directory, name }, CreateMode::Unchecked, &set, bitmap).await?
            }
            found => {
                // Who asks for a file to be made may count on it being there, whoever made it.
                self.wait_for(self.file_system().all_visible());
                found?
            }
        };
        let truncate = truncate && found.origin == CreateOutcome::Existed;
        let set = match found.origin {
            CreateOutcome::Created => found.set,
            CreateOutcome::Existed if truncate => Bitmap::of(&[Attribute::Size]),
            CreateOutcome::Existed => Bitmap::EMPTY,
        };
        Ok(Target { truncate, set, ..found })
    }

    async fn make(
        &mut self,
        entry: Entry<'_>,
        mode: CreateMode,
        set: &SetAttributes,
        bitmap: Bitmap,
    ) -> Result<Target, Failure> {
        let pending = self.file_system().create(&self.who, entry, mode, set).await?;
        let created = self.promise(pending);
        Ok(Target {
            attributes: created.attributes,
            change: created.directory,
            set: bitmap,
            origin: created.outcome,
            truncate: false,
        })
    }

    /// Whether the mode bits allow to open a file that was there before.
    fn check_open(&self, target: &Target, args: &OpenArguments) -> Result<(), Status> {
        let inode = target.attributes.inode;
        if matches!(args.claim, Claim::Previous) && target.attributes.uid == self.who.uid {
            // It was open before, and the mode may have been changed since by the owner himself.
            return Ok(());
        }
        let all = Access::READ.union(Access::WRITE).union(Access::EXECUTE);
        let granted = self.file_system().access(&self.who, inode, all)?;
        let Share { access, .. } = args.share;
        // A program is read by the client in order to be executed.
        let readable = granted.contains(Access::READ) || granted.contains(Access::EXECUTE);
        let writable = granted.contains(Access::WRITE);
        let wants_write = access & SHARE_WRITE != 0 || target.truncate;
        match (access & SHARE_READ == 0 || readable) && (!wants_write || writable) {
            true => Ok(()),
            false => Err(Status::ACCESS),
        }
    }

    /// Enters the open. Those whose lease is over do not stand in the way.
    async fn grant(&mut self, attributes: &Attributes, opening: &Opening) -> Result<Stateid, Failure> {
        self.record(&opening.client).await?;
        loop {
            let pin = self.file_system().pin(attributes.inode)?;
            match self.service.files.open(attributes.inode, opening, pin) {
                Ok(stateid) => return Ok(stateid),
                Err(refused) => self.service.give_way(refused).await?,
            }
        }
    }

    async fn truncate(&mut self, target: &mut Target) -> Result<(), Failure> {
        let set = SetAttributes { size: Some(0), ..SetAttributes::default() };
        let inode = target.attributes.inode;
        let authority = Authority::OpenForWriting;
        let pending = self.file_system().set_attributes(&self.who, inode, &set, authority).await?;
        target.attributes = self.promise(pending);
        Ok(())
    }

    /// Whether an open or lock may be given to the client now.
    pub(super) fn check_grant(&self, client: &Client, reclaim: bool) -> Result<(), Status> {
        match reclaim {
            true => self.service.check_reclaim(client),
            false => self.service.check_no_grace(client),
        }
    }
}

impl Target {
    fn existing(attributes: Attributes, change: DirectoryChange) -> Target {
        let origin = CreateOutcome::Existed;
        Target { attributes, change, set: Bitmap::EMPTY, origin, truncate: false }
    }
}

fn check_kind(kind: FileKind) -> Result<(), Status> {
    match kind {
        FileKind::Regular => Ok(()),
        FileKind::Directory => Err(Status::ISDIR),
        FileKind::Symlink => Err(Status::SYMLINK),
        FileKind::Fifo | FileKind::Socket | FileKind::BlockDevice | FileKind::CharacterDevice => {
            Err(Status::WRONG_TYPE)
        }
    }
}

fn unchanged(change: u64) -> DirectoryChange {
    DirectoryChange { before: change, after: change }
}

/// There are no delegations; a client that spoke of them learns why.
fn encode_no_delegation(out: &mut Writer, wants: Want) {
    let why = match wants {
        Want::NoPreference => return out.u32(DELEGATE_NONE),
        Want::NoDelegation => WHY_NOT_WANTED,
        Want::Delegation => WHY_RESOURCE,
        Want::Cancel => WHY_CANCELLED,
    };
    out.u32(DELEGATE_NONE_EXT);
    out.u32(why);
    if why == WHY_RESOURCE {
        // The server will not tell when it has more.
        out.bool(false);
    }
}

const SHARE_READ: u8 = 1;
const SHARE_WRITE: u8 = 2;
const RESULT_LOCKTYPE_POSIX: u32 = 4;
/// The engine keeps files that are open, over restarts too until the grace period ends; so Linux need not rename them.
const RESULT_PRESERVE_UNLINKED: u32 = 8;
const DELEGATE_NONE: u32 = 0;
const DELEGATE_NONE_EXT: u32 = 3;
const WHY_NOT_WANTED: u32 = 0;
const WHY_RESOURCE: u32 = 2;
const WHY_CANCELLED: u32 = 7;
