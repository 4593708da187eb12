export HOME=/tmp GIT_CONFIG_NOSYSTEM=1
git config --global user.name Tester
git config --global user.email tester@example.org
git config --global init.defaultBranch main
git config --global gc.auto 0
cp -r /run/share/tree /mnt/project
cd /mnt/project
git init -q
git add -A --force
git commit -qm first
for change in 1 2 3; do
    for file in $(git ls-files | sed -n 1,20p); do echo "$change" >> "$file"; done
    git commit -qam "change $change"
done
git checkout -qb other HEAD~2
git mv "$(git ls-files | sed -n 1p)" moved
git commit -qm move
git checkout -q main
git gc -q
git fsck --full --strict
git clone -q --no-hardlinks /mnt/project /mnt/clone
git -C /mnt/clone fsck --full
git clone -q /mnt/project /mnt/linked
[ -z "$(git status --porcelain)" ]
[ "$(git rev-parse HEAD)" = "$(git -C /mnt/clone rev-parse HEAD)" ]
diff -r --exclude=.git /mnt/project /mnt/clone
rm -rf /mnt/linked
[ ! -e /mnt/linked ]
