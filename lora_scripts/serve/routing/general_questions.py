"""Everyday questions and requests that belong to no department: what a learned router learns to leave to the base."""

GENERAL = """
今天天气怎么样，出门要带伞吗？
帮我写一首关于秋天的短诗。
红烧肉怎么做才不腻？
从北京到西安坐高铁要多久？
用 Python 写一个冒泡排序。
把这句话翻译成英文：我明天再来。
推荐几本适合初中生看的小说。
你是谁？你能做什么？
讲个笑话听听。
三角形的内角和为什么是一百八十度？
怎样才能早睡早起？
给我的猫起个名字吧。
太阳系有几颗行星？
总结一下下面这段文字的大意。
写一封感谢老师的信。
学吉他要从哪里开始？
周末带孩子去哪里玩好？
长城是什么时候修建的？
请解释一下什么是光合作用。
怎么把手机里的照片传到电脑上？
列出五种提高学习效率的方法。
鸡蛋煮多久是溏心的？
世界上最高的山是哪一座？
帮我想一个生日派对的主题。
羽毛球的发球规则是什么？
解方程：二元一次方程组怎么消元？
如何养好一盆多肉植物？
写一段产品介绍，产品是一款保温杯。
李白和杜甫的诗风有什么不同？
电脑开机很慢怎么办？
把下面的数字从小到大排列。
描述一下海边日落的景色。
什么是人工智能？
请把这段话改写得更口语一些。
面试时怎么做自我介绍？
朋友生气了，我该怎么哄他？
地球为什么会有四季？
怎么用毛笔写好横竖撇捺？
给一家咖啡馆想一句广告词。
足球比赛里的越位是什么意思？
新房装修选木地板还是瓷砖？
请生成一个星期的作文题目。
如何拍好夜景照片？
恐龙是怎么灭绝的？
帮我检查这个句子有没有语病。
路由器的无线密码怎么改？
唐朝有哪些有名的皇帝？
饺子皮怎么和面？
编一个小兔子和狼的故事。
从列表中找出不属于同一类的词。
有哪些好看的科幻电影？
怎么给自行车补胎？
水在多少度会结冰？
请对下列文章进行分类。
如何和室友友好相处？
中秋节有哪些习俗？
给出这个词的近义词和反义词。
飞机为什么能飞起来？
怎样记英语单词最快？
写一个关于友谊的演讲稿。
衣服上的油渍怎么洗掉？
北斗七星在哪个方向？
帮我安排三天的成都旅游行程。
什么是区块？请用简单的话说明数据库是什么。
根据关键词造一个句子。
二十四节气是哪些？
怎么训练小狗定点上厕所？
比较火车和飞机出行的优缺点。
围棋和象棋哪个更难学？
写一条朋友圈文案，内容是毕业。
为什么天空是蓝色的？
手工折纸鹤的步骤是什么？
请判断这句话的情感是积极还是消极。
音乐里的大调和小调有什么区别？
如何向孩子解释时间？
现在几点了？
你好，在吗？
谢谢你的帮助。
我家的小狗最近总是半夜叫，邻居都来提意见了，我该怎么办？
我儿子上三年级了，写作业特别慢，每天都要拖到十点，有什么好办法吗？
我想换一台笔记本电脑，平时主要写文档和看视频，买哪一款比较合适？
我和男朋友异地两年了，最近总是吵架，还要不要坚持下去？
我家阳台上的茉莉花叶子发黄，是不是水浇多了？
我刚学会开车，一上高架就紧张，怎么才能放松下来？
请问老师，我的孩子不爱吃蔬菜，怎么引导比较好？
我想自学日语，每天只有一个小时，应该怎么安排？
我家洗衣机甩干的时候声音特别大，是哪里出了问题？
我明年要高考了，数学一直上不去，现在补还来得及吗？
我们打算国庆节带老人去海边，有哪些地方不太挤？
我爷爷喜欢拍照，手机总提示内存不足，怎么清理？
我想给妈妈买一条围巾，她五十多岁，什么颜色好？
我室友每天打游戏到很晚，我该怎么跟他说？
我新买的房子朝北，客厅很暗，怎么布置能亮一些？
我养的金鱼浮在水面上不动，需要换水吗？
我第一次做蛋糕总是塌下去，是哪一步做错了？
我女儿想学跳舞，几岁开始比较好？
我最近想减少看手机的时间，有什么好习惯可以培养？
我写的论文引言太长了，怎么改得精炼一些？
您好，我想问一下去机场坐地铁要多长时间？
你好，我的快递三天没有更新了，怎么回事？
我家冰箱里总有一股味道，用什么办法能去掉？
我想参加马拉松，一个月之前要怎么准备？
我同学约我去爬山，需要带哪些东西？
我的头发又细又软，剪什么发型好看？
我想知道这首诗表达了作者怎样的感情？
我家孩子问我月亮为什么跟着人走，我怎么回答？
我刚搬到新城市，一个朋友也没有，怎么认识新的人？
我的电动车冬天跑不远，是不是电池坏了？
公司年会让我表演节目，我什么都不会，选什么好？
我下周要给客户做汇报，幻灯片怎么做才清楚？
What is the weather like today?
Write a short poem about the sea.
How do I bake chocolate chip cookies?
Translate this sentence into French.
Tell me a joke.
Who are you and what can you do?
Write a Python function that reverses a string.
What is the capital of Australia?
Suggest a name for my puppy.
Summarize the following paragraph.
How do airplanes fly?
Recommend some science fiction movies.
How many planets are there in the solar system?
Rewrite this sentence in a more formal tone.
Plan a three day trip to Rome.
How can I learn to play the guitar?
What is photosynthesis?
Give me five tips for better sleep habits.
Why is the sky blue?
Write a thank you note to my teacher.
How do I reset my router?
What are the rules of offside in football?
Sort these numbers in ascending order.
Describe a sunset on the beach.
What is the difference between a noun and a verb?
How do I remove a stain from a shirt?
Generate a slogan for a coffee shop.
Solve the equation for x.
Who painted the Mona Lisa?
How can I take better photos at night?
Classify the sentiment of this review.
Tell a story about a brave little rabbit.
What is machine learning?
How do I change a bicycle tire?
Compare cats and dogs as pets.
When was the Great Wall built?
Fix the grammar in this sentence.
How do I make friends at a new school?
Name three synonyms for happy.
What time is it now?
Hello, are you there?
Thank you for your help.
My dog keeps barking at night and the neighbours complain. What should I do?
I want to buy a new laptop for writing and watching videos. Which one should I get?
My son is slow with his homework. Is there a good way to help him?
I just moved to a new city and know nobody. How do I meet people?
The leaves of my jasmine turn yellow. Am I watering it too much?
My cake always falls in the middle. What did I do wrong?
I have to give a talk next week. How do I make clear slides?
I would like to run a marathon. How should I prepare?
""".strip().split("\n")
