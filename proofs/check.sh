#!/usr/bin/env bash
# Check all the proofs from nothing, and print `N passed, N failed`:
#
#   1. every Coq file compiles, from a clean copy, and Coq's independent checker accepts the result;
#   2. no file has a hole, and no theorem of the table in README.md rests on an axiom;
#   3. false statements are refused (a control: a check that cannot fail checks nothing);
#   4. the checker in plain Python and the one that is proved correct agree on certificates of the package, and
#      refuse corrupted ones; single answers are proved right in exact fractions.
#
# Installs what is missing: Coq with the Debian packages below where it may, the package into .venv.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD

packages="coq libcoq-mathcomp libcoq-mathcomp-algebra-tactics libcoq-mathcomp-zify"
work=$(mktemp -d)
# Jobs in the background do not get Ctrl-C.
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0
failed=0

report() { # report STATUS NAME [LOG]
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
    printf 'passed  %s\n' "$2"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n' "$2"
    if [ -n "${3-}" ]; then tail -n 20 "$3" | sed 's/^/        /'; fi
  fi
}

check() { # check NAME COMMAND...
  local name=$1
  shift
  "$@" >"$work/log" 2>&1
  report $? "$name" "$work/log"
}

has_coq() {
  command -v coqc >/dev/null && [ -e "$(coqc -where)/user-contrib/mathcomp/algebra_tactics/ring.vo" ] &&
    [ -e "$(coqc -where)/user-contrib/mathcomp/zify/ssrZ.vo" ]
}

if ! has_coq; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
  fi
  if ! has_coq; then
    echo "proofs/check.sh: Coq 8.16 with MathComp 1.15, algebra-tactics and zify are needed; on Debian: apt-get install $packages" >&2
    exit 2
  fi
fi
make -s .venv/.study || exit 2

# 1. Build from a clean copy.
cp -r proofs/coq "$work/coq"
cd "$work/coq"
modules=$(sed -n 's/\.v$//p' _CoqProject)
coq_makefile -f _CoqProject -o Makefile >/dev/null 2>&1
make -j2 -k >"$work/build" 2>&1
for module in $modules; do
  [ -e "$module.vo" ]
  report $? "coqc $module.v" "$work/build"
done
[ "$(ls ./*.v | wc -l)" = "$(echo "$modules" | wc -w)" ]
report $? "_CoqProject lists every file"
# The independent checker goes through MathComp as well and takes a minute: it runs beside the rest.
coqchk -silent -o -bytecode-compiler yes -R . lovasz $(printf 'lovasz.%s ' $modules) >"$work/coqchk" 2>&1 &
coqchk=$!

# 2. Holes and axioms.
! grep -nE '\b(Admitted|admit|give_up|Axioms?|Parameters?|Conjecture|native_compute|bypass_check|Unset +(Guard|Positivity|Universe))\b' ./*.v >"$work/holes"
report $? "no holes in the files" "$work/holes"
names=$(sed -nE 's/^\|[^|]*\|[^|]*\| *`([A-Za-z0-9_]+)` *\|.*/\1/p' "$root/proofs/README.md")
{
  echo "From lovasz Require Import" $modules.
  for name in $names; do echo "Print Assumptions $name."; done
} >assumptions.v
coqc -R . lovasz -w none assumptions.v >"$work/assumptions" 2>&1 &
assumptions=$!

# 3. False statements: each edit makes one statement false, and then its file must not compile.
refused() { # refused NAME FILE SED_EXPRESSION
  rm -rf "$work/false" && cp -r "$work/coq" "$work/false"
  sed -E -i "$3" "$work/false/$2.v"
  if cmp -s "$2.v" "$work/false/$2.v"; then
    echo "the edit changes nothing" >"$work/log"
    report 1 "refused: $1" "$work/log"
    return
  fi
  ! (cd "$work/false" && coqc -R . lovasz -w none "$2.v") >"$work/log" 2>&1 && grep -q '^Error' "$work/log"
  report $? "refused: $1" "$work/log"
}
refused "the counterexample with its last two entries exchanged" counterexample \
  's/(Definition prox1 .*) 10 9\./\1 9 10./'
refused "Dice is submodular" jaccard 's/(Theorem dice_not_submodular.*)~ submodular/\1submodular/'
refused "a foreground pixel keeps its lead over the background" class_order \
  '/^Theorem background_keeps_lead/,/^Proof/s/i \\in fg -> j \\notin fg/i \\notin fg -> j \\in fg/'
refused "the prox of the hinge is the positive part of the prox" hinge \
  '/^Theorem hinge_prox/,/^Proof/s/Num.min \(x i\) 0/0/'
refused "background is fixed without a margin" pruning '/^Theorem prox_fixes_background /,/^Proof/s/ - gamma \/ #\|fg\|%:R//'
refused "the checker accepts what pooling in order gives" checker_sound '/^Example pooled_refused/s/= false/= true/'
printf 'Axiom absurd : False.\nTheorem anything : 1 = 2.\nProof. case absurd. Qed.\nPrint Assumptions anything.\n' >axiom.v
coqc axiom.v >"$work/log" 2>&1 && ! grep -q '^Closed under the global context$' "$work/log"
report $? "noticed: a theorem that rests on an axiom" "$work/log"
rm -f axiom.* .axiom.*

wait $assumptions
wanted=$(echo "$names" | wc -w)
closed=$(grep -c '^Closed under the global context$' "$work/assumptions")
[ "$wanted" -gt 0 ] && [ "$closed" = "$wanted" ]
report $? "$closed of $wanted theorems of the table are closed under the global context" "$work/assumptions"

# 4. Certificates: both checkers accept all that hold and none that do not.
python=$root/.venv/bin/python
certificates=$work/certificates
check "certificates of the package are written" "$python" "$root/proofs/certificates/generate.py" "$certificates" --certificates 1010
cat "$work/log"
# The standard library alone: no site packages.
check "the checker in Python accepts the valid ones and refuses the corrupted" \
  "$python" -I -S "$root/proofs/certificates/check.py" --batch "$certificates"
cat "$work/log"

verdicts() { # verdicts KIND: how many the verified checker accepts, and how many there are
  "$python" "$root/proofs/certificates/to_coq.py" "$certificates/$1"/*.txt >"$1.v" &&
    coqc -R . lovasz -w none "$1.v" >"$work/$1" 2>&1
}
verdicts valid &
verdicts corrupted
wait $!
for kind in valid corrupted; do
  read -r accepted all < <(sed -nE 's/^ *= \(([0-9]+), ([0-9]+)\).*/\1 \2/p' "$work/$kind")
  [ "${all:-0}" -ge 1000 ] && [ "$accepted" = "$([ $kind = valid ] && echo "$all" || echo 0)" ]
  report $? "the verified checker accepts ${accepted:-none} of ${all:-no} $kind certificates" "$work/$kind"
done
check "counterexamples and random problems in fractions" "$python" "$root/proofs/rationals.py"

wait $coqchk
status=$?
report $status "coqchk" "$work/coqchk"

echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
