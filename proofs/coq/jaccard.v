(** Item 1: the Jaccard loss is normalised, nondecreasing and submodular; the Dice loss is not submodular.

A set function is submodular iff its increments decrease. For a set function of the two counts (a false
negatives, b false positives) this comes down to inequalities between neighbouring counts; the Jaccard loss
satisfies them, the Dice loss does not. The increments of the Jaccard loss, and so Edmonds' greedy vector,
have a closed form in the counts. *)

From mathcomp Require Import all_ssreflect all_algebra ring zify.
From lovasz Require Import definitions.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section SetFunctions.

Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (g : nat -> nat -> R) (fg A B S : {set T}).

(** Decreasing increments of single pixels give decreasing increments of sets. *)
Lemma set_increments F : (forall A B i, A \subset B -> i \notin B -> F (i |: B) - F B <= F (i |: A) - F A) ->
  forall A B S, A \subset B -> [disjoint S & B] -> F (S :|: B) - F B <= F (S :|: A) - F A.
Proof.
move=> incr A B S AB; move: {2}#|S| (erefl #|S|) => n; elim: n S => [|n IH] S.
  by move/cards0_eq=> -> _; rewrite !set0U !subrr.
move=> cS SB; have /card_gt0P[i iS] : (0 < #|S|)%N by rewrite cS.
have iB : i \notin B by rewrite (disjointFr SB).
have SB' : [disjoint S :\ i & B] by apply: disjointWl SB; apply: subD1set.
have cS' : #|S :\ i| = n by move: cS; rewrite (cardsD1 i) iS add1n => -[].
have sub : (S :\ i) :|: A \subset (S :\ i) :|: B by apply: setUS.
have iSB : i \notin (S :\ i) :|: B by rewrite !inE eqxx.
have := incr _ _ _ sub iSB; rewrite !setUA setD1K // => h.
by apply: (le_by2 h (IH _ cS' SB')); ring.
Qed.

(** Submodular means that a pixel adds less to a larger set. *)
Theorem submodular_increments F : submodular F <->
  (forall A B i, A \subset B -> i \notin B -> F (i |: B) - F B <= F (i |: A) - F A).
Proof.
split=> [sub A B i AB iB | incr A B].
  have := sub (i |: A) B; rewrite -setUA (setUidPr AB) setIUl (setIidPl AB).
  have -> : [set i] :&: B = set0 by apply/disjoint_setI0; rewrite disjoints1.
  by rewrite set0U => h; apply: (le_by1 h); ring.
have AB : [disjoint A :\: B & B] by rewrite -setI_eq0 setIDAC setDIl setDv setI0.
have := set_increments incr (subsetIr A B) AB.
have -> : A :\: B :|: B = A :|: B by apply/setP=> i; rewrite !inE; case: (i \in B); rewrite ?orbT ?orbF.
by rewrite (setUC (A :\: B)) setID => h; apply: (le_by1 h); ring.
Qed.

(** Nondecreasing means that no pixel adds less than 0. *)
Lemma nondecreasing_increments F : (forall A i, i \notin A -> F A <= F (i |: A)) -> nondecreasing F.
Proof.
move=> incr A B; move: {2}#|B :\: A| (erefl #|B :\: A|) => n; elim: n B => [|n IH] B cB AB.
  by move/cards0_eq/eqP: cB; rewrite setD_eq0 => BA; have /eqP -> : A == B by rewrite eqEsubset AB.
have /card_gt0P[i] : (0 < #|B :\: A|)%N by rewrite cB.
rewrite inE => /andP[iA iB]; have := incr (B :\ i) i; rewrite setD1K // !inE eqxx => /(_ isT).
apply: le_trans; apply: IH; last by rewrite subsetD1 AB.
by move: cB; rewrite (cardsD1 i) !inE iA iB add1n setDDl setUC -setDDl => -[].
Qed.

(** The counts of a set with one more pixel. *)
Lemma add_foreground fg A i : i \in fg -> i \notin A ->
  #|(i |: A) :&: fg| = #|A :&: fg|.+1 /\ #|(i |: A) :\: fg| = #|A :\: fg|.
Proof.
move=> ifg iA; rewrite setIUl setDUl.
have -> : [set i] :&: fg = [set i] by apply/setIidPl; rewrite sub1set.
have -> : [set i] :\: fg = set0 by apply/eqP; rewrite setD_eq0 sub1set.
by rewrite set0U cardsU1 inE negb_and iA.
Qed.

Lemma add_background fg A i : i \notin fg -> i \notin A ->
  #|(i |: A) :&: fg| = #|A :&: fg| /\ #|(i |: A) :\: fg| = #|A :\: fg|.+1.
Proof.
move=> ifg iA; rewrite setIUl setDUl.
have -> : [set i] :&: fg = set0 by apply/disjoint_setI0; rewrite disjoints1.
have -> : [set i] :\: fg = [set i] by apply/setDidPl; rewrite disjoints1.
by rewrite set0U cardsU1 inE negb_and iA orbT.
Qed.

(** Inequalities between neighbouring counts, for P foreground and N background pixels: concave in a, concave
in b, and cross differences that do not increase. *)
Definition count_conditions (P N : nat) g :=
  [/\ forall a b, (a.+2 <= P)%N -> (b <= N)%N -> g a.+2 b - g a.+1 b <= g a.+1 b - g a b,
      forall a b, (a <= P)%N -> (b.+2 <= N)%N -> g a b.+2 - g a b.+1 <= g a b.+1 - g a b
    & forall a b, (a.+1 <= P)%N -> (b.+1 <= N)%N -> g a.+1 b.+1 - g a b.+1 <= g a.+1 b - g a b].

(** Every pair of counts within bounds belongs to a set. *)
Lemma subset_of_card A n : (n <= #|A|)%N -> exists2 B : {set T}, B \subset A & #|B| = n.
Proof.
move=> nA; exists [set i in take n (enum A)].
  by apply/subsetP=> i; rewrite inE => /mem_take; rewrite mem_enum.
rewrite cardsE; have /card_uniqP -> : uniq (take n (enum A)) by rewrite take_uniq ?enum_uniq.
by rewrite size_takel // -cardE.
Qed.

Lemma set_with_counts fg a b : (a <= #|fg|)%N -> (b <= #|~: fg|)%N ->
  exists A, #|A :&: fg| = a /\ #|A :\: fg| = b.
Proof.
move=> /subset_of_card[A Afg cA] /subset_of_card[B Bfg cB]; exists (A :|: B).
have Bd : [disjoint B & fg] by rewrite disjoints_subset.
rewrite setIUl (setIidPl Afg) (disjoint_setI0 Bd) setU0 setDUl (setDidPl Bd).
by have /eqP -> : A :\: fg == set0; rewrite ?setD_eq0 // set0U.
Qed.

Lemma foreground_left fg A : (#|A :&: fg| < #|fg|)%N -> exists2 i, i \in fg & i \notin A.
Proof.
rewrite setIC -(cardsID A fg) -{1}[#|_|]addn0 ltn_add2l => /card_gt0P[i].
by rewrite inE => /andP[iA ifg]; exists i.
Qed.

Lemma background_left fg A : (#|A :\: fg| < #|~: fg|)%N -> exists2 i, i \notin fg & i \notin A.
Proof.
rewrite -(cardsID A (~: fg)) setIC -setDE -{1}[#|_|]addn0 ltn_add2l => /card_gt0P[i].
by rewrite !inE => /andP[iA ifg]; exists i.
Qed.

Lemma counts_necessary fg g : submodular (counts fg g) -> count_conditions #|fg| #|~: fg| g.
Proof.
move=> /submodular_increments incr; pose F := counts fg g.
have step A i j : i \notin A -> j \notin i |: A -> F (j |: (i |: A)) - F (i |: A) <= F (j |: A) - F A.
  by move=> iA jA; apply: incr => //; apply: subsetUr.
split=> a b aP bN.
- have [A [cA cB]] := set_with_counts (ltnW (ltnW aP)) bN.
  have [|i ifg iA] := @foreground_left fg A; first by rewrite cA ltnW.
  have [i1 i2] := add_foreground ifg iA.
  have [|j jfg jA] := @foreground_left fg (i |: A); first by rewrite i1 cA.
  have [ij1 ij2] := add_foreground jfg jA; have := step _ _ _ iA jA.
  have jA' : j \notin A by move: jA; rewrite !inE negb_or => /andP[].
  have [j1 j2] := add_foreground jfg jA'.
  by rewrite /F /counts ij1 ij2 i1 i2 j1 j2 cA cB.
- have [A [cA cB]] := set_with_counts aP (ltnW (ltnW bN)).
  have [|i ifg iA] := @background_left fg A; first by rewrite cB ltnW.
  have [i1 i2] := add_background ifg iA.
  have [|j jfg jA] := @background_left fg (i |: A); first by rewrite i2 cB.
  have [ij1 ij2] := add_background jfg jA; have := step _ _ _ iA jA.
  have jA' : j \notin A by move: jA; rewrite !inE negb_or => /andP[].
  have [j1 j2] := add_background jfg jA'.
  by rewrite /F /counts ij1 ij2 i1 i2 j1 j2 cA cB.
have [A [cA cB]] := set_with_counts (ltnW aP) (ltnW bN).
have [|i ifg iA] := @background_left fg A; first by rewrite cB.
have [i1 i2] := add_background ifg iA.
have [|j jfg jA] := @foreground_left fg (i |: A); first by rewrite i1 cA.
have [ij1 ij2] := add_foreground jfg jA; have := step _ _ _ iA jA.
have jA' : j \notin A by move: jA; rewrite !inE negb_or => /andP[].
have [j1 j2] := add_foreground jfg jA'.
by rewrite /F /counts ij1 ij2 i1 i2 j1 j2 cA cB.
Qed.

Lemma decreasing_steps (u : nat -> R) n : (forall k, (k.+1 < n)%N -> u k.+1 <= u k) ->
  forall i j, (i <= j)%N -> (j < n)%N -> u j <= u i.
Proof.
move=> step i; elim=> [|j IH]; first by rewrite leqn0 => /eqP ->.
rewrite leq_eqVlt => /orP[/eqP -> // | ij] jn.
by apply: le_trans (step _ jn) (IH _ (ltnW jn)).
Qed.

Lemma counts_sufficient fg g : count_conditions #|fg| #|~: fg| g -> submodular (counts fg g).
Proof.
move=> [conca concb cross]; apply/submodular_increments => A B i AB iB.
have iA : i \notin A by apply: contra iB; apply: subsetP AB i.
have aa : (#|A :&: fg| <= #|B :&: fg|)%N by apply/subset_leq_card/setSI.
have bb : (#|A :\: fg| <= #|B :\: fg|)%N by apply/subset_leq_card/setSD.
have aP S : (#|S :&: fg| <= #|fg|)%N by apply/subset_leq_card/subsetIr.
have bN S : (#|S :\: fg| <= #|~: fg|)%N by rewrite setDE; apply/subset_leq_card/subsetIr.
have [ifg | ifg] := boolP (i \in fg).
  have [i1 i2] := add_foreground ifg iA; have [j1 j2] := add_foreground ifg iB.
  have aP' : (#|B :&: fg| < #|fg|)%N by rewrite -j1.
  rewrite /counts i1 i2 j1 j2.
  apply: le_trans (decreasing_steps (u := fun k => g k.+1 _ - g k _) _ aa aP') _.
    by move=> k kP; apply: conca.
  apply: (decreasing_steps (u := fun k => g _ k - g _ k) (n := #|~: fg|.+1)); rewrite ?ltnS // => k kN.
  by apply: cross => //; apply: leq_ltn_trans aP'.
have [i1 i2] := add_background ifg iA; have [j1 j2] := add_background ifg iB.
have bN' : (#|B :\: fg| < #|~: fg|)%N by rewrite -j2.
rewrite /counts i1 i2 j1 j2.
apply: le_trans (decreasing_steps (u := fun k => g _ k.+1 - g _ k) _ bb bN') _.
  by move=> k kN; apply: concb.
apply: (decreasing_steps (u := fun k => g k _ - g k _) (n := #|fg|.+1)); rewrite ?ltnS // => k kP.
have /(_ kP (leq_ltn_trans bb bN')) h := cross k #|A :\: fg|.
by apply: (le_by1 h); ring.
Qed.

(** A set function of the two counts is submodular iff its neighbouring counts satisfy the conditions. *)
Theorem counts_submodular_iff fg g :
  submodular (counts fg g) <-> count_conditions #|fg| #|~: fg| g.
Proof. by split; [apply: counts_necessary | apply: counts_sufficient]. Qed.

End SetFunctions.

Section Jaccard.

Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (r : T -> nat) (fg A B : {set T}).

Lemma jaccard_normalised fg : normalised (@jaccard R T fg).
Proof. by rewrite /normalised /jaccard cards0 mul0r. Qed.

(** The Jaccard loss of a false negatives and b false positives, with P foreground pixels. *)
Definition jaccard_count (P a b : nat) : R := (a + b)%:R / (P + b)%:R.

Lemma jaccard_counts fg A : jaccard R fg A = counts fg (jaccard_count #|fg|) A.
Proof.
rewrite /jaccard /counts /jaccard_count cardsID; congr (_ / _%:R).
by rewrite -(cardsID fg (fg :|: A)) setUK setDUl setDv set0U.
Qed.

(** All pixels wrong: the loss is 1. *)
Lemma jaccard_setT fg : jaccard R fg setT = (0 < #|T|)%:R.
Proof.
rewrite /jaccard setUT cardsT; case: (posnP #|T|) => [-> | T0]; first by rewrite mul0r.
by rewrite divff // pnatr_eq0 -lt0n.
Qed.

(** The increments of the Jaccard loss. *)
Lemma jaccard_count_foreground P a b : jaccard_count P a.+1 b - jaccard_count P a b = (P + b)%:R^-1.
Proof. by rewrite /jaccard_count -mulrBl -natrB ?leq_add2r // subnDr subSnn mul1r. Qed.

Lemma jaccard_count_background P a b : (a <= P)%N -> (0 < P + b)%N ->
  jaccard_count P a b.+1 - jaccard_count P a b = (P - a)%:R / ((P + b)%:R * (P + b).+1%:R).
Proof.
move=> aP Pb; rewrite /jaccard_count !addnS natrB //.
have : ((P + b)%:R : R) != 0 by rewrite pnatr_eq0 -lt0n.
have : ((P + b).+1%:R : R) != 0 by rewrite pnatr_eq0.
by rewrite !mulrS !natrD => h h'; field; rewrite h h'.
Qed.

Lemma jaccard_count_empty b : jaccard_count 0 0 b.+1 - jaccard_count 0 0 b = (b == 0%N)%:R.
Proof.
rewrite /jaccard_count !add0n divff ?pnatr_eq0 //; case: b => [|b]; first by rewrite mul0r subr0.
by rewrite divff ?pnatr_eq0 // subrr.
Qed.

(** A background pixel adds less and less, the more mistakes there are. *)
Lemma jaccard_background_antitone (P a b a' b' : nat) : (0 < P + b)%N -> (a <= a')%N -> (b <= b')%N ->
  ((P - a')%:R / ((P + b')%:R * (P + b').+1%:R) : R) <= (P - a)%:R / ((P + b)%:R * (P + b).+1%:R).
Proof.
move=> Pb aa bb; have Pb' : (0 < P + b')%N by apply: leq_trans Pb _; rewrite leq_add2l.
rewrite -!natrM ler_pdivr_mulr ?ltr0n ?muln_gt0 ?Pb' // mulrAC ler_pdivl_mulr ?ltr0n ?muln_gt0 ?Pb //.
by rewrite -!natrM ler_nat !leq_mul ?leq_sub2l // ?ltnS leq_add2l.
Qed.

(** A false negative adds to the loss in any case, a false positive as long as there are true positives. *)
Theorem jaccard_nondecreasing fg : nondecreasing (@jaccard R T fg).
Proof.
apply: nondecreasing_increments => A i iA; rewrite !jaccard_counts -subr_ge0.
have [ifg | ifg] := boolP (i \in fg).
  have [i1 i2] := add_foreground ifg iA.
  by rewrite /counts i1 i2 jaccard_count_foreground invr_ge0 ler0n.
have [i1 i2] := add_background ifg iA; rewrite /counts i1 i2.
have aP : (#|A :&: fg| <= #|fg|)%N by apply/subset_leq_card/subsetIr.
have [fg0 | P0] := posnP #|fg|.
  by move: aP; rewrite fg0 leqn0 => /eqP ->; rewrite jaccard_count_empty ler0n.
by rewrite jaccard_count_background ?addn_gt0 ?P0 // divr_ge0 ?mulr_ge0 ?ler0n.
Qed.

(** The Jaccard loss is submodular, also without foreground. *)
Theorem jaccard_submodular fg : submodular (@jaccard R T fg).
Proof.
move=> A B; rewrite !jaccard_counts; apply: counts_sufficient A B; split=> a b aP bN.
- by rewrite !jaccard_count_foreground.
- have [fg0 | P0] := posnP #|fg|.
    by move: aP; rewrite fg0 leqn0 => /eqP ->; rewrite !jaccard_count_empty ler0n.
  have Pb : (0 < #|fg| + b)%N by rewrite addn_gt0 P0.
  by rewrite !jaccard_count_background ?jaccard_background_antitone // addnS.
have P0 : (0 < #|fg|)%N by apply: leq_trans aP.
by rewrite !jaccard_count_foreground lef_pinv ?posrE ?ltr0n ?addn_gt0 ?P0 // ler_nat leq_add2l.
Qed.

Lemma not_before r i : i \notin before r i.
Proof. by rewrite inE ltnn. Qed.

(** Greedy increments in closed form, with a false negatives and b false positives before the pixel:
1 / (P + b) in the foreground (so that b alone matters there), (P - a) / ((P + b) (P + b + 1)) in the
background; without foreground 1 for the first pixel, 0 for the others. *)
Theorem jaccard_greedy_foreground fg r i : injective r -> i \in fg ->
  greedy (@jaccard R T fg) r i = (#|fg| + #|before r i :\: fg|)%:R^-1.
Proof.
move=> _ ifg; have [i1 i2] := add_foreground ifg (not_before r i).
by rewrite /greedy !jaccard_counts /counts i1 i2 jaccard_count_foreground.
Qed.

Theorem jaccard_greedy_background fg r i : injective r -> i \notin fg ->
  (0 < #|fg| + #|before r i :\: fg|)%N ->
  greedy (@jaccard R T fg) r i = (#|fg| - #|before r i :&: fg|)%:R /
    ((#|fg| + #|before r i :\: fg|)%:R * (#|fg| + #|before r i :\: fg|).+1%:R).
Proof.
move=> _ ifg Pb; have [i1 i2] := add_background ifg (not_before r i).
by rewrite /greedy !jaccard_counts /counts i1 i2 jaccard_count_background // subset_leq_card // subsetIr.
Qed.

Theorem jaccard_greedy_empty r i : greedy (@jaccard R T set0) r i = (before r i == set0)%:R.
Proof.
have i0 : i \notin set0 by rewrite inE.
have [i1 i2] := add_background i0 (not_before r i).
by rewrite /greedy !jaccard_counts /counts i1 i2 setI0 setD0 cards0 jaccard_count_empty cards_eq0.
Qed.

End Jaccard.

Section Dice.

Variables (R : realFieldType) (T : finType).
Implicit Types (fg A : {set T}).

(** The Dice loss of a false negatives and b false positives, with P foreground pixels. *)
Definition dice_count (P a b : nat) : R := (a + b)%:R / (P.*2 + b - a)%:R.
Definition dice fg A : R := counts fg (dice_count #|fg|) A.

(** This is 1 - 2 TP / (2 TP + FP + FN), with the true positives TP = P - a. *)
Lemma dice_confusion fg A : (0 < #|fg|)%N ->
  dice fg A = 1 - #|fg :\: A|.*2%:R / (#|fg :\: A|.*2 + #|A :\: fg| + #|A :&: fg|)%:R.
Proof.
rewrite /dice /counts /dice_count -(cardsID A fg) [A :&: fg]setIC.
set a := #|fg :&: A|; set t := #|fg :\: A|; set b := #|A :\: fg| => P0.
have -> : ((a + t).*2 + b - a = t.*2 + b + a)%N by lia.
have h : ((t.*2 + b + a)%:R : R) != 0 by rewrite pnatr_eq0; lia.
apply: (mulIf h); rewrite mulrBl !divfK // mul1r -natrB; last by lia.
by congr _%:R; lia.
Qed.

(** The Dice loss is not submodular as soon as there are two foreground pixels: without false positives its
increments increase. *)
Theorem dice_not_submodular fg : (2 <= #|fg|)%N -> ~ submodular (dice fg).
Proof.
move=> P2 /counts_submodular_iff[/(_ 0%N 0%N P2 (leq0n _)) + _ _]; rewrite /dice_count !addn0 mul0r subr0.
have [n ->] : exists n, #|fg| = n.+2 by exists (#|fg| - 2)%N; lia.
have -> : (n.+2.*2 - 2 = n.*2.+2)%N by lia.
have -> : (n.+2.*2 - 1 = n.*2.+3)%N by lia.
rewrite ler_subl_addr -mulrDl -natrD addn1 ler_pdivr_mulr ?ltr0n // mulrAC ler_pdivl_mulr ?ltr0n //.
by rewrite -!natrM ler_nat leq_mul2l ltnn.
Qed.

End Dice.
