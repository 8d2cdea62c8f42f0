(** Item 9: a checker for proximal points of the Lovász extension of the Jaccard loss, on rational data.

A row holds one pixel: whether it is foreground, its score X and the claimed answer Z. With a common
denominator D > 0, the scores are x = X / D, the step is gamma = G / D and the answer is z = Z / D; D
cancels and is not needed. [check rows G] decides whether z is the proximal point of x, in O(p log p)
operations on binary integers: 10^4 rows take about a second by [vm_compute]. checker_sound.v proves that
it accepts the proximal point and nothing else. This file is the program alone, so that a certificate
loads quickly. *)

From Coq Require Import ZArith Number.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq path.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Local Open Scope Z_scope.

Definition pixel := (bool * Z * Z)%type.
Definition foreground (r : pixel) : bool := r.1.1.
Definition background (r : pixel) : bool := ~~ foreground r.
Definition score (r : pixel) : Z := r.1.2.
Definition answer (r : pixel) : Z := r.2.

(** How far the pixel moves, times D: the entry of the dual point (x − z) / gamma is [moved r / G]. *)
Definition moved (r : pixel) : Z := score r - answer r.

Definition sumZ (s : seq Z) : Z := foldr Z.add 0 s.
Definition tally (p : pred pixel) (s : seq pixel) : Z := foldr (fun r n => if p r then n + 1 else n) 0 s.

Definition falling (u v : Z) : bool := v <=? u.
Definition answer_falling (r r' : pixel) : bool := falling (answer r) (answer r').

(** First half: the dual point has the mass of the Jaccard loss on every level set {t < z}. The rows come
by decreasing answer; n of them have been read, with mass sum, and c is the number P of foreground pixels
plus the number of background pixels read. A level set ends where the next answer is strictly smaller, and
at the end; the last one is the set of all pixels, so that the total mass is checked too. *)
Definition level_ends (r : pixel) (s : seq pixel) : bool :=
  if s is r' :: _ then answer r' <? answer r else true.

Fixpoint tight (G c n sum : Z) (s : seq pixel) : bool :=
  if s is r :: s' then
    let c' := if foreground r then c else c + 1 in
    let n' := n + 1 in
    let sum' := sum + moved r in
    if level_ends r s' ==> (sum' * c' =? G * n') then tight G c' n' sum' s' else false
  else true.

(** Second half: no set of pixels has a dual mass above its Jaccard loss. It is enough to look, for every
number b of background pixels, at the b largest background entries with the foreground entries above 1 /
(P + b). Here f and g are the foreground and background entries not yet taken, in decreasing order; c is P
+ b; n entries are taken, with mass sum. *)
Fixpoint take_above (G c n sum : Z) (f : seq Z) : Z * Z * seq Z :=
  if f is u :: f' then
    if G <? u * c then take_above G c (n + 1) (sum + u) f' else (n, sum, f)
  else (n, sum, f).

Fixpoint inside (G c n sum : Z) (f g : seq Z) : bool :=
  let: (n', sum', f') := take_above G c n sum f in
  if c * sum' <=? G * n' then
    if g is v :: g' then inside G (c + 1) (n' + 1) (sum' + v) f' g' else true
  else false.

Definition entries (p : pred pixel) (rows : seq pixel) : seq Z := [seq moved r | r <- rows & p r].

Definition check (rows : seq pixel) (G : Z) : bool :=
  let P := tally foreground rows in
  [&& 0 <? G,
      tight G P 0 0 (sort answer_falling rows)
    & inside G P 0 0 (sort falling (entries foreground rows)) (sort falling (entries background rows))].

(** An approximate answer V / D, a fourth number in each row, is within E / D of the proximal point Z / D,
in the Euclidean norm. *)
Definition square_error (rows : seq (pixel * Z)) : Z :=
  sumZ [seq (r.2 - answer r.1) * (r.2 - answer r.1) | r <- rows].

Definition check_error (rows : seq (pixel * Z)) (G E : Z) : bool :=
  [&& check [seq r.1 | r <- rows] G, 0 <=? E & square_error rows <=? E * E].

(** The same on rows of literals. Coq parses a row of digits, [(true, 26, 20)%literal] or
[(true, 0x1a, 0x14)%literal], three times as fast as a row of binary integers; the value of a literal is
[Z.of_num_int] of it, the function with which the standard library reads integers. *)
Declare Scope literal_scope.
Delimit Scope literal_scope with literal.
Bind Scope literal_scope with Number.int.
Number Notation Number.int Number.int_of_int Number.int_of_int : literal_scope.

Definition literals := (bool * Number.int * Number.int)%type.
Definition read (r : literals) : pixel := (r.1.1, Z.of_num_int r.1.2, Z.of_num_int r.2).
Definition read_approximate (r : literals * Number.int) : pixel * Z := (read r.1, Z.of_num_int r.2).

Definition check_literals (rows : seq literals) (G : Number.int) : bool :=
  check [seq read r | r <- rows] (Z.of_num_int G).

Definition check_error_literals (rows : seq (literals * Number.int)) (G E : Number.int) : bool :=
  check_error [seq read_approximate r | r <- rows] (Z.of_num_int G) (Z.of_num_int E).
