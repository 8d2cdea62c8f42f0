(** Item 9, first part of the proof: what the two halves of the checker decide, as statements on lists.

[tight] accepts sorted rows iff every upper set of answers has the mass that the Jaccard loss asks for;
[inside] accepts sorted entries iff, for every k, the k largest background entries and the foreground
entries above the threshold that belongs to k have a mass of at most that. Both are inductions along the
list, with all that the program carries generalised; the arithmetic is linear. *)

From Coq Require Import ZArith.
From mathcomp Require Import all_ssreflect zify ssrZ.
From lovasz Require Import checker.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Local Open Scope Z_scope.

Lemma sumZ_cat s s' : sumZ (s ++ s') = sumZ s + sumZ s'.
Proof. by elim: s => //= u s ->; lia. Qed.

Lemma filter_none (S : Type) (p : pred S) s : ~~ has p s -> filter p s = [::].
Proof. by elim: s => //= u s IH; rewrite negb_or => /andP[/negPf -> /IH]. Qed.

Lemma tallyE p s : tally p s = Z.of_nat (count p s).
Proof. by elim: s => //= r s ->; case: ifP => _; lia. Qed.

Lemma falling_total : total falling.
Proof. by move=> u v; rewrite /falling; lia. Qed.

Lemma falling_trans : transitive falling.
Proof. by move=> v u t; rewrite /falling; lia. Qed.

Lemma answer_falling_total : total answer_falling.
Proof. by move=> r r'; apply: falling_total. Qed.

Lemma answer_falling_trans : transitive answer_falling.
Proof. by move=> r r' r''; apply: falling_trans. Qed.

Section Levels.

Implicit Types (G c n sum m : Z) (s : seq pixel) (p : pred pixel).

(** The rows of p, after n rows with mass sum and c - P background pixels, are tight. *)
Definition level_tight G c n sum p s : Prop :=
  (sum + sumZ (entries p s)) * (c + Z.of_nat (count background (filter p s)))
    = G * (n + Z.of_nat (size (filter p s))).

Lemma level_tight_cons G c n sum p r s : p r ->
  level_tight G c n sum p (r :: s) <->
  level_tight G (if foreground r then c else c + 1) (n + 1) (sum + moved r) p s.
Proof.
by move=> pr; rewrite /level_tight /entries /= pr /= /background; case: (foreground r) => /=; split=> h; lia.
Qed.

Lemma level_tight_single G c n sum p r s : p r -> ~~ has p s ->
  level_tight G c n sum p (r :: s) <->
  (sum + moved r) * (if foreground r then c else c + 1) = G * (n + 1).
Proof.
move=> pr /filter_none e; rewrite level_tight_cons // /level_tight /entries e /=.
by split=> h; lia.
Qed.

Lemma path_answer r s : path answer_falling r s -> {in s, forall r', answer r' <= answer r}.
Proof.
by move=> /(order_path_min answer_falling_trans)/allP h r' /h; rewrite /answer_falling /falling; lia.
Qed.

Lemma tight_upper_sets G c n sum s (up : pred Z) : (forall u v, u <= v -> up u -> up v) ->
  sorted answer_falling s -> tight G c n sum s -> has (up \o answer) s ->
  level_tight G c n sum (up \o answer) s.
Proof.
move=> upP; elim: s c n sum => //= r s IH c n sum rs; have le_r := path_answer rs.
case: ifP => // /implyP ends /(IH _ _ _ (path_sorted rs)) {}IH.
case: (boolP (up (answer r))) => /= upr; last first.
  by case/hasP=> r' /le_r le /= /(upP _ _ le); rewrite (negPf upr).
move=> _; case: (boolP (has (up \o answer) s)) => [more|none].
  by rewrite level_tight_cons //; apply: IH.
apply/level_tight_single => //; suff /ends : level_ends r s by lia.
case: s none {rs le_r ends IH} => //= r' s; rewrite negb_or => /andP[not_up _].
by case: Z.ltb_spec => // /upP /(_ upr); rewrite (negPf not_up).
Qed.

Lemma tight_of_thresholds G c n sum s : sorted answer_falling s ->
  (forall m, has (Z.leb m \o answer) s -> level_tight G c n sum (Z.leb m \o answer) s) -> tight G c n sum s.
Proof.
elim: s c n sum => //= r s IH c n sum rs all_tight; have le_r := path_answer rs.
case: ifP => [_|/negP[]]; last first.
  apply/implyP => ends; have := all_tight (answer r).
  have leb_r : (Z.leb (answer r) \o answer) r by rewrite /=; lia.
  rewrite level_tight_single //; first by move: leb_r => /= -> /(_ isT); lia.
  case: s ends rs {IH all_tight le_r} => // r' s; rewrite /level_ends => lt /andP[_ /path_answer le_r'].
  by apply/hasPn => r'' /=; rewrite inE => /orP[/eqP ->|/le_r']; lia.
apply: IH => [|m more]; first exact: path_sorted rs.
have : (Z.leb m \o answer) r by case/hasP: more => r' /le_r /=; lia.
by move=> mr; apply/level_tight_cons => //; apply: all_tight; rewrite more orbT.
Qed.

End Levels.

Section Entries.

Implicit Types (G c n sum : Z) (f g : seq Z).

(** The entries u with u / G above 1 / c. *)
Definition above G c : pred Z := fun u => G <? u * c.

Lemma take_aboveP G c n sum f : 0 <= c -> sorted falling f -> exists h f',
  [/\ take_above G c n sum f = (n + Z.of_nat (size h), sum + sumZ h, f'), f = h ++ f',
      all (above G c) h & all (predC (above G c)) f'].
Proof.
move=> c0; elim: f n sum => [|u f IH] n sum /=.
  by exists [::], [::]; split=> //=; congr (_, _, _); lia.
move=> uf; case: ifP => above_u.
  have [h [f' [-> -> above_h below]]] := IH (n + 1) (sum + u) (path_sorted uf).
  by exists (u :: h), f'; split; rewrite //= ?above_h ?andbT //; congr (_, _, _); lia.
exists [::], (u :: f); split=> //=; first by congr (_, _, _); lia.
rewrite /above above_u /=; apply/allP => v vf; have := allP (order_path_min falling_trans uf) v vf.
rewrite /falling /above /= => vu; have := Z.mul_le_mono_nonneg_r v u c c0; lia.
Qed.

(** Background entries number 1..k, and the foreground entries above 1 / (c + k). *)
Definition count_inside G c n sum f g (k : nat) : Prop :=
  let ck := c + Z.of_nat k in
  let h := filter (above G ck) f in
  ck * (sum + sumZ h + sumZ (take k g)) <= G * (n + Z.of_nat (size h) + Z.of_nat k).

Lemma above_le G c c' : 0 < G -> 0 <= c -> c <= c' -> forall u, above G c u -> above G c' u.
Proof.
move=> G0 c0 le u; rewrite /above => /Z.ltb_lt h; have u0 : 0 < u by nia.
by apply/Z.ltb_lt; nia.
Qed.

Lemma count_insideS G c n sum h f v g k : all (above G (c + Z.of_nat k.+1)) h ->
  count_inside G c n sum (h ++ f) (v :: g) k.+1 <->
  count_inside G (c + 1) (n + Z.of_nat (size h) + 1) (sum + sumZ h + v) f g k.
Proof.
have -> : c + Z.of_nat k.+1 = c + 1 + Z.of_nat k by lia.
move=> /all_filterP hk; rewrite /count_inside.
have -> : c + Z.of_nat k.+1 = c + 1 + Z.of_nat k by lia.
by rewrite filter_cat hk size_cat sumZ_cat /=; split=> le; lia.
Qed.

Lemma count_inside0 G c n sum h f g : all (above G c) h -> all (predC (above G c)) f ->
  count_inside G c n sum (h ++ f) g 0%N <-> c * (sum + sumZ h) <= G * (n + Z.of_nat (size h)).
Proof.
move=> /all_filterP hk below; rewrite /count_inside take0 Z.add_0_r filter_cat hk.
by rewrite filter_none -?all_predC // cats0 /=; split=> le; lia.
Qed.

Lemma insideP G c n sum f g : 0 < G -> 0 <= c -> sorted falling f ->
  inside G c n sum f g <-> (forall k, (k <= size g)%N -> count_inside G c n sum f g k).
Proof.
move=> G0; elim: g c n sum f => [|v g IH] c n sum f c0 sf /=;
  have [h [f' [-> ef above_h below]]] := take_aboveP G n sum c0 sf; rewrite {f}ef in sf *.
  split=> [|/(_ 0%N isT)/count_inside0 ok]; last by case: ifP => //; have := ok above_h below; lia.
  by case: ifP => // ok _ [|//] _; apply/count_inside0 => //; lia.
have above_all k : all (above G (c + Z.of_nat k.+1)) h.
  by apply: sub_all above_h => u; apply: above_le => //; lia.
have sf' : sorted falling f' by have := cat_sorted2 sf => -[].
have := IH (c + 1) (n + Z.of_nat (size h) + 1) (sum + sumZ h + v) f' _ sf'.
move=> /(_ ltac:(lia)) {}IH; split=> [|ok].
  case: ifP => // ok /IH rest [_|k kg]; first by apply/count_inside0 => //; lia.
  by apply/count_insideS => //; apply: rest.
have /count_inside0 := ok 0%N isT => /(_ above_h below) ok0; case: ifP => [_|]; last lia.
by apply/IH => k kg; have /count_insideS := ok k.+1 kg; apply; apply: above_all.
Qed.

End Entries.
