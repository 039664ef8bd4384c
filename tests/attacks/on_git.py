"""Attacks on what git runs by itself."""

from __future__ import annotations

from tests.attacks.attack import Attack
from tests.attacks.ground import Ground

_INSIDE = "what is inside an allowed folder cannot be taken out of it"
_EVIL = '#!/bin/sh\ntouch "$MARKER"\n'
_HOOK = f"printf '{_EVIL}' > $WS/evil; chmod +x $WS/evil; "
_ARM = "git config core.fsmonitor $WS/evil"


def _fill_hooks_later(ground: Ground) -> str:
    """What is harmless when it is looked at, and no longer after a command that does not touch it."""
    said = ground.command("git init -q sub; rm -rf sub/.git/hooks; mkdir h; ln -s ../../h sub/.git/hooks")
    evil = _EVIL.replace("\n", "\\n")
    return said + ground.command(f"printf '{evil}' > h/post-index-change; chmod +x h/post-index-change")


GIT = [
    Attack(
        "a hook is written",
        "git",
        f"printf '{_EVIL}' > .git/hooks/post-checkout; chmod +x .git/hooks/post-checkout",
        landlock=_INSIDE,
    ),
    Attack("a setting that runs a program is made", "git", _HOOK + _ARM, landlock=_INSIDE),
    Attack(
        "the settings are written directly",
        "git",
        _HOOK + "printf '[core]\\nfsmonitor = %s\\n' $WS/evil >> .git/config",
        landlock=_INSIDE,
    ),
    Attack(
        "the settings are replaced by renaming",
        "git",
        _HOOK + "cp .git/config c; printf '[core]\\nfsmonitor = %s\\n' $WS/evil >> c; mv c .git/config",
        landlock=_INSIDE,
    ),
    Attack("the git folder is replaced", "git", _HOOK + f"mv .git old; cp -r old .git; {_ARM}", landlock=_INSIDE),
    Attack(
        "the git folder is deleted and made anew", "git", _HOOK + f"rm -rf .git; git init -q; {_ARM}", landlock=_INSIDE
    ),
    Attack(
        "the hooks folder is replaced by a link",
        "git",
        "mkdir h; rm -rf .git/hooks; ln -s $WS/h .git/hooks",
        landlock=_INSIDE,
    ),
    Attack(
        "settings of the worktree are made",
        "git",
        _HOOK + "printf '[core]\\nfsmonitor = %s\\n' $WS/evil > .git/config.worktree; "
        "git config extensions.worktreeConfig true",
        landlock=_INSIDE,
    ),
    Attack(
        "the settings are led elsewhere by commondir",
        "git",
        _HOOK + "cp -r .git other; printf '[core]\\nfsmonitor = %s\\n' $WS/evil >> other/config; "
        "echo ../other > .git/commondir",
        landlock=_INSIDE,
    ),
    Attack(
        "a program hides behind a clean filter",
        "git",
        _HOOK + "echo '* filter=x' > .gitattributes; git config filter.x.clean $WS/evil; touch src/a.py",
        landlock=_INSIDE,
    ),
    Attack(
        "a nested repository gets a setting",
        "git",
        _HOOK + "git -C vendor/lib config core.fsmonitor $WS/evil",
        landlock=_INSIDE,
    ),
    Attack(
        "a new nested repository brings settings",
        "git",
        _HOOK + "git init -q sub; git -C sub config core.fsmonitor $WS/evil",
        landlock=_INSIDE,
    ),
    Attack(
        "a new nested repository brings a hook",
        "git",
        f"git init -q sub; printf '{_EVIL}' > sub/.git/hooks/fsmonitor-watchman; chmod +x sub/.git/hooks/*; "
        "git -C sub config core.hooksPath .git/hooks; git -C sub config core.fsmonitor .git/hooks/fsmonitor-watchman",
    ),
    Attack(
        "a bare repository lies in a folder",
        "git",
        _HOOK + "git init -q --bare b; printf '[core]\\nrepositoryformatversion=0\\nbare=false\\n' > b/config; "
        "printf 'worktree=..\\nfsmonitor = %s\\n' $WS/evil >> b/config",
    ),
    Attack(
        "a .git file leads to settings in the workspace",
        "git",
        _HOOK + "mkdir sub; git init -q g; git -C g config core.fsmonitor $WS/evil; mv g/.git hidden; rmdir g; "
        "git --git-dir hidden config core.bare false; echo 'gitdir: ../hidden' > sub/.git",
    ),
    Attack(
        "a repository includes settings",
        "git",
        _HOOK
        + "git init -q sub; printf '[core]\\nfsmonitor=%s\\n' $WS/evil > inc; git -C sub config include.path $WS/inc",
    ),
    Attack(
        "a rebase is prepared that runs a command",
        "git",
        "git rebase -q --root --exec 'touch \"$MARKER\"' >/dev/null 2>&1; git -c sequence.editor='sed -i 1ibreak' "
        "-c core.editor=true rebase -i --root --exec 'touch $MARKER' ; true",
        control=False,
    ),
    Attack(
        "a script that a hook is a link to is changed",
        "git",
        f"printf '{_EVIL}' > scripts/hook.sh",
        landlock=_INSIDE,
    ),
    Attack(
        "the folder of a script that a hook is a link to is exchanged",
        "git",
        f"mv scripts away; mkdir scripts; printf '{_EVIL}' > scripts/hook.sh; chmod +x scripts/hook.sh",
    ),
    Attack(
        "settings that the repository's own include are changed",
        "git",
        _HOOK + "printf '[core]\\nfsmonitor = %s\\n' $WS/evil >> team.gitconfig",
        landlock=_INSIDE,
    ),
    Attack(
        "a new linked worktree brings settings",
        "git",
        _HOOK
        + "git worktree add -q w; printf '[core]\\nfsmonitor = %s\\n' $WS/evil > .git/worktrees/w/config.worktree",
        control=True,
    ),
    Attack(
        "a submodule that was not there brings settings",
        "git",
        _HOOK + "mkdir s; git init -q --separate-git-dir .git/modules/s s; git -C s config core.fsmonitor $WS/evil",
    ),
    Attack(
        "a repository's folder is exchanged for one with settings",
        "git",
        _HOOK
        + "mv vendor/lib/.git vendor/lib/x; git init -q vendor/lib; git -C vendor/lib config core.fsmonitor $WS/evil",
        landlock=_INSIDE,
    ),
    Attack("hooks of a new repository are a link that is filled later", "git", act=_fill_hooks_later),
    Attack(
        "our settings are put into the repository",
        "git",
        "mkdir -p .agent; echo 'mode=\"yolo\"' > .agent/config.toml",
        landlock=_INSIDE,
    ),
    Attack("our settings are a link", "git", "ln -s src .agent", landlock=_INSIDE),
]
